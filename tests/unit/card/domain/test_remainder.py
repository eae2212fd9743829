"""What becomes of the money of a cancelled card depends on the cards that its holder has now."""

import pytest

from services.card.domain.card import LIVE, Card, CardKind, FinancialStatus, Production, SocialStatus
from services.card.domain.remainder import Standing, standing


def card(social: SocialStatus, kind: CardKind = CardKind.ORDINARY) -> Card:
    return Card(7, 1, "44", kind, social, FinancialStatus.INACTIVE, Production.ISSUED, 1)


CANCELLED, SEALED = card(SocialStatus.CANCELLED), card(SocialStatus.SEALED)


@pytest.mark.parametrize("social", sorted(LIVE))
def test_it_is_paid_out_while_no_card_lives(social: SocialStatus) -> None:
    temporary = card(social, CardKind.TEMPORARY)
    assert standing([CANCELLED]) is standing([CANCELLED, SEALED]) is Standing.TO_PAY
    assert standing([CANCELLED, temporary]) is Standing.WAITS
    assert standing([CANCELLED, temporary, card(social)]) is Standing.OVER
