"""`onecard till`: payments at a till that waits for the answer."""

from typing import Annotated

import typer

from cli.counter import (
    AmountArgument,
    ApiOption,
    CardArgument,
    CertificatesOption,
    PartArgument,
    PaymentArgument,
    RequestIdOption,
    print_payment,
    print_receipt,
    till_of,
)

app = typer.Typer(no_args_is_help=True, help="A till that waits for the answer: pay, hold, capture, void, refund.")

MerchantOption = Annotated[
    str, typer.Option("--merchant", metavar="MERCHANT", envvar="ONECARD_MERCHANT", help="whose till it is")
]
_CAMPUS = "CAMPUS-LAKE"


@app.callback()
def till() -> None:
    """A till that waits for the answer: pay, hold, capture, void, refund.

    The exit status is 0 for an approval, 1 for a decline, 2 for a question that was not accepted, 3 when no answer came.
    """


@app.command()
def pay(
    card: CardArgument,
    amount: AmountArgument,
    merchant: MerchantOption = _CAMPUS,
    request_id: RequestIdOption = "",
    api: ApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Take money of a card at once.

    Example, while a city runs in another terminal:

        onecard till pay 440700D1000000000000000000000178 7.50
    """
    with till_of(merchant, "", api, certificates) as asked:
        print_receipt(asked.pay(card, amount, request_id=request_id))


@app.command()
def hold(
    card: CardArgument,
    amount: AmountArgument,
    seconds: Annotated[int, typer.Option("--for", metavar="SECONDS", min=0, help="0: as long as the city lets it")] = 0,
    merchant: MerchantOption = _CAMPUS,
    request_id: RequestIdOption = "",
    api: ApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Hold money of a card, to be captured later.

    Example: onecard till hold 440700D1000000000000000000000178 30 --for 600
    """
    with till_of(merchant, "", api, certificates) as asked:
        print_receipt(asked.hold(card, amount, hold_seconds=seconds, request_id=request_id))


@app.command()
def capture(
    payment: PaymentArgument,
    amount: PartArgument = None,
    more_to_come: Annotated[bool, typer.Option("--more-to-come", help="keep the rest held")] = False,
    merchant: MerchantOption = _CAMPUS,
    request_id: RequestIdOption = "",
    api: ApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Take held money; the rest is let go."""
    with till_of(merchant, "", api, certificates) as asked:
        print_receipt(asked.capture(payment, amount, more_to_come=more_to_come, request_id=request_id))


@app.command()
def void(
    payment: PaymentArgument,
    merchant: MerchantOption = _CAMPUS,
    request_id: RequestIdOption = "",
    api: ApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Let a hold go, or take back a payment (冲正); one that has not arrived will be refused."""
    with till_of(merchant, "", api, certificates) as asked:
        print_receipt(asked.void(payment, request_id=request_id))


@app.command()
def refund(
    payment: PaymentArgument,
    amount: PartArgument = None,
    merchant: MerchantOption = _CAMPUS,
    request_id: RequestIdOption = "",
    api: ApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Give back what was paid, never more than that."""
    with till_of(merchant, "", api, certificates) as asked:
        print_receipt(asked.refund(payment, amount, request_id=request_id))


@app.command()
def show(
    payment: PaymentArgument,
    merchant: MerchantOption = _CAMPUS,
    api: ApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """A payment of this merchant as it is now."""
    with till_of(merchant, "", api, certificates) as asked:
        print_payment(asked.find(payment))
