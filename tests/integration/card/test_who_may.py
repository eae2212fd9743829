"""What every call of the card service answers to those who may do little: the hotline, and a holder in a session."""

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from tests.integration.card.test_pins import with_pin
from tests.integration.card.test_sessions import kiosk, show_card
from tests.support.edge import reason_of
from tests.support.hall import HOTLINE, Hall, Owner, Window

DENIED = {"NOT_YOUR_RIGHT", "SERVICE_NEEDED", "SIGN_IN_NEEDED"}
ANYBODY = {"SignIn", "OpenSession", "IssueToken", "RenewTerminal", "GetSealingKey"}
"""Who calls shows in the call itself who they are: a password, a card, or the certificate of a terminal."""
ENDS = {"SignOut", "EndSession"}
OF_THE_HOTLINE = {
    *("GetHolderView", "ListAllowedActions", "SearchHolders", "ReportTemporaryLoss"),
    "GetApproval",  # of what they asked for themselves, which is nothing
}
TO_A_HOLDER = {
    *("GetHolderView", "ListAllowedActions", "Submit", "ChangePin"),
    # The table of verbs says no to all of these but three, as an ordinary answer.
    *("ReportTemporaryLoss", "Release", "Enable"),
    *("Collect", "Activate", "ReportFormalLoss", "Unlock", "ResetPin", "Extend", "AskBankAgain", "Cancel"),
    *("SignUp", "RaiseLevel", "ResetPassword", "CancelElectronicCard"),
}


def calls_of(window: Window) -> Iterator[tuple[str, Any, Any]]:
    """Every call of every service, with an empty request of its kind; but for those that end the caller's own session."""
    pool = descriptor_pool.Default()
    for stub in window._stubs:
        service = pool.FindServiceByName(f"onecard.card.v1.{type(stub).__name__.removesuffix('Stub')}")
        for method in service.methods:
            empty = GetMessageClass(method.input_type)()
            if method.name not in ENDS:
                yield method.name, getattr(stub, method.name), iter([empty]) if method.client_streaming else empty


async def answered(window: Window) -> set[str]:
    """The calls that did not turn this caller away."""
    open_to = set()
    for name, call, empty in calls_of(window):
        try:
            await call(empty, metadata=window.metadata, timeout=20)
        except grpc.aio.AioRpcError as error:
            if reason_of(error) in DENIED:
                continue
        open_to.add(name)
    return open_to


async def test_the_hotline_may_look_up_masked_and_report_temporary_losses_and_nothing_else(hall: Hall) -> None:
    hotline = await hall.window(role=HOTLINE)
    assert await answered(hotline) == ANYBODY | OF_THE_HOTLINE


async def test_a_holder_in_a_session_reaches_what_is_named_and_nothing_else(hall: Hall, owner: Owner) -> None:
    clerk, stand = await hall.window(), await kiosk(hall)
    await show_card(stand, owner, await with_pin(hall, clerk))
    assert await answered(stand) == ANYBODY | TO_A_HOLDER


async def test_whoever_is_nobody_may_sign_in_or_show_a_card(hall: Hall) -> None:
    assert await answered(await kiosk(hall)) == ANYBODY
