"""Money that goes back of a payment, a top-up's or an invoice's: its parts, and what it does to the wallet.

What an invoice's payment filled the wallet with counts micro-dollars while the payment counts cents, so what goes
back of it takes its part of the usage, and the difference from its cents out of the settlement loss.
"""

from __future__ import annotations

from typing import Any

from django.db.models import F

from billing import portions
from billing.models import Dispute, Invoice, LedgerAccount, Refund, TopUp
from billing.services import ledger
from marketplace.lib.money import NANO_PER_CENT

Source = TopUp | Invoice


def source_of(*, payment_intent_id: str, invoice_id: str = "") -> Source | None:
    """The top-up or the paid invoice behind a payment; None for one that is none of ours."""
    topup = TopUp.objects.filter(payment_intent_id=payment_intent_id).first()
    if topup is not None or not invoice_id:
        return topup
    return Invoice.objects.filter(pk=invoice_id, state=Invoice.State.PAID).first()


def named(source: Source) -> dict[str, Any]:
    """The field of a refund or dispute that names it."""
    return {"topup": source} if isinstance(source, TopUp) else {"invoice": source}


def cut(source: Source, gross_cents: int) -> portions.Portion:
    """What of so many cents that go back was credit (or usage), tax and our fee."""
    return portions.of(
        gross_cents,
        amount=source.credit_cents,
        fee=source.fee_cents,
        tax=source.tax_cents,
        credit_left=source.credit_cents - source.refunded_cents,
        tax_left=source.tax_cents - source.refunded_tax_cents,
    )


def rounding_nano(source: Source, credit_cents: int) -> int:
    """What the wallet loses beside the cents as so many of them go back."""
    return source.back_nano(credit_cents) - credit_cents * NANO_PER_CENT


def legs(row: Refund | Dispute, *, sign: int) -> list[ledger.Leg]:
    """What the wallet loses (sign -1) or gets again; of that what was written off meanwhile is no bad debt any more."""
    nano, recovered = row.wallet_nano, _recovered(row) if sign > 0 else 0
    return [
        (LedgerAccount.Kind.WALLET, row.source.account_id, nano * sign - recovered),
        (LedgerAccount.Kind.BAD_DEBT, None, recovered),
        (LedgerAccount.Kind.SETTLEMENT_LOSS, None, -row.rounding_nano * sign),
    ]


def take(row: Refund | Dispute, *, because: str = "") -> None:
    """Take it from the wallet, once it is booked; one that this overdraws is frozen if a reason is given."""
    nano, account_id = row.wallet_nano, row.source.account_id
    if row.invoice_id:
        Invoice.objects.filter(pk=row.invoice_id).update(taken_nano=F("taken_nano") + nano)
    if because:
        ledger.take_back(account_id=account_id, amount_nano=nano, because=because)
    else:
        ledger.credit(account_id=account_id, amount_nano=-nano)


def give(row: Refund | Dispute, *, posted: list[ledger.Leg]) -> None:
    """Give it again, as it was booked."""
    to_wallet = next(amount for kind, _, amount in posted if kind == LedgerAccount.Kind.WALLET)
    recovered = next(amount for kind, _, amount in posted if kind == LedgerAccount.Kind.BAD_DEBT)
    if row.invoice_id:
        Invoice.objects.filter(pk=row.invoice_id).update(
            taken_nano=F("taken_nano") - row.wallet_nano, written_off_nano=F("written_off_nano") - recovered
        )
    ledger.credit(account_id=row.source.account_id, amount_nano=to_wallet)


def _recovered(row: Refund | Dispute) -> int:
    """What of money that comes again had been given up. Exact: who calls holds the invoice's row."""
    written_off = Invoice.objects.filter(pk=row.invoice_id or "").values_list("written_off_nano", flat=True).first()
    return min(written_off or 0, row.wallet_nano)
