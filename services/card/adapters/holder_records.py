"""All rows of one holder, as they are stored: for the holder's own copy."""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from services.card.adapters.spending_limits import LIMIT_COLUMNS

_PARTS: Final[Mapping[str, str]] = {
    "categories": "select valid_from, category, resident from card.holder_category where holder = $1 order by valid_from",
    "documents": """
select number, kind, sealed, valid_until, create_time, replaced_time from card.document where holder = $1 order by number""",
    "former": "select sealed, at from card.former_identity where holder = $1 order by number",
    "photos": "select sealed, overrides, reason, create_time from card.photo where holder = $1 order by number",
    "cards": """
select id, card_identifier, sealed_number, bank_account, kind, social, financial, production, electronic, issue_date,
    valid_until, create_time
from card.card where holder = $1 order by id""",
    "transitions": """
select t.card, t.verb, t.party, t.social, t.financial, t.production, t.at, t.outlet, t.papers from card.transition t
join card.card c on c.id = t.card where c.holder = $1 order by t.card, t.version""",
    "applications": """
select id, kind, mode, route, state, outlet, papers, remark, fee_fen, create_time from card.application
where holder = $1 order by id""",
    "steps": """
select s.application, s.step, s.state, s.at, s.outlet from card.step s join card.application a on a.id = s.application
where a.holder = $1 order by s.application, s.number""",
    "consents": "select kind, given, papers, at, outlet from card.consent where holder = $1 order by id",
    "spending_limits": f"""
select valid_from, {LIMIT_COLUMNS}, papers, outlet from card.spending_limit where holder = $1 order by valid_from""",  # noqa: S608
    "messages": "select kind, create_time, sent_time from card.notification where holder = $1 order by id",
    "visits": "select number, outlet, at from card.visit where holder = $1 order by number",
    "audit": "select at, act, purpose from card.audit where holder = $1 order by id",
}


async def records_of(driver: "asyncpg.Connection[Any]", holder: int) -> dict[str, list[Mapping[str, Any]]]:
    """Every part, oldest first."""
    return {part: list(map(dict, await driver.fetch(statement, holder))) for part, statement in _PARTS.items()}
