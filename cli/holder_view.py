"""How everything of a holder looks, at a window and at a kiosk."""

from rich.table import Table

from cli.counter import console, time_of
from cli.desk import application_table, card_table, table_of, words
from cli.merchant.show import yuan
from cli.window_guardian import print_limits
from cli.window_privacy import print_consents
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import window_pb2 as messages


def print_view(found: messages.HolderView) -> None:
    """Everything of a holder."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_row("holder", str(found.holder_id))
    facts.add_row("name", found.name)
    facts.add_row("born", found.birth_date)
    facts.add_row("telephone", found.phone)
    for document in found.documents:
        kind = words(applications.DocumentKind.Name(document.kind), "DOCUMENT_KIND_")
        until = f"until {document.valid_until}" if document.valid_until else ""
        facts.add_row(kind, f"{document.issuing_country} {document.number} {until}".strip())
    facts.add_row("category", f"{found.category}{', resident' if found.resident else ''}")
    if found.HasField("money"):
        facts.add_row("purse, yuan", f"{yuan(found.money.balance_fen)}, free to spend {yuan(found.money.available_fen)}")
    elif found.payments_away:
        facts.add_row("purse", "[yellow]payments does not answer; everything else is here[/]")
    console.print(facts)
    console.print(card_table([held.card for held in found.cards]))
    for held in found.cards:
        if may := [words(action.verb, "") for action in held.actions if action.allowed]:
            console.print(f"  card {held.card.card_id} may be: {', '.join(may)}")
    console.print(application_table([held.application for held in found.applications]))
    print_consents(found.consents)
    if found.HasField("spending_limits"):
        print_limits(found.spending_limits)
    if found.money.last_payments:
        last = table_of("when", "what", "where", "change, yuan")
        for payment in found.money.last_payments:
            last.add_row(time_of(payment.time_ms), words(payment.what, ""), payment.merchant_id, yuan(payment.change_fen))
        console.print(last)
