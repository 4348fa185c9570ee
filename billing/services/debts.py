"""What is owed of invoices that nobody will pay, or whose payment went back: given up by staff, with a reason.

An invoice that Stripe has given up, or that was voided there, asks for nothing any more, yet what was used is owed
until staff write it off: bad debt of ours, and the wallet is filled by it. Money that comes after all lowers the bad
debt again (services.invoices, services.returns).
"""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.db.models import F

from billing.models import Invoice, LedgerAccount, Wallet, WriteOff
from billing.services import ledger
from marketplace.lib.errors import Conflict, InvalidRequest
from marketplace.lib.money import format_usd
from marketplace.models import User

LONGEST_REASON: Final = 300
_GIVEN_UP: Final = (Invoice.State.UNCOLLECTIBLE, Invoice.State.VOID)


def owed_nano(invoice: Invoice) -> int:
    """What can be written off of an invoice now, in nano-USD: never more than its account owes."""
    if invoice.state == Invoice.State.PAID:
        unpaid = invoice.taken_nano
    else:
        unpaid = invoice.usage_nano if invoice.state in _GIVEN_UP else 0
    owes = max(0, -ledger.wallet_of(invoice.account_id).balance_nano)
    return max(0, min(unpaid - invoice.written_off_nano, owes))


@transaction.atomic
def write_off(*, invoice: Invoice, reason: str, decided_by: User | None) -> WriteOff:
    """Give up what is owed of an invoice; the row says who and why. It freezes nothing any more, and thaws nothing.

    `decided_by` is None for a command at the host. Raises InvalidRequest for a reason that is empty or too long,
    Conflict for an invoice that Stripe still asks for, and when nothing of it is owed.
    """
    reason = reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON:
        raise InvalidRequest(f"Say why, in 1 to {LONGEST_REASON} characters.", metadata={"field": "reason"})
    _lock(invoice)
    if invoice.state in {Invoice.State.OPEN, Invoice.State.DRAFT}:
        raise Conflict("Stripe still asks for this invoice: void it there, or mark it as uncollectible, and try again.")
    owed = owed_nano(invoice)
    if not owed:
        raise Conflict("Nothing of this invoice is owed.")
    made = WriteOff.objects.create(
        account_id=invoice.account_id, invoice=invoice, amount_nano=owed, reason=reason, decided_by=decided_by
    )
    Invoice.objects.filter(pk=invoice.pk).update(written_off_nano=F("written_off_nano") + owed)
    legs: list[ledger.Leg] = [
        (LedgerAccount.Kind.WALLET, invoice.account_id, owed),
        (LedgerAccount.Kind.BAD_DEBT, None, -owed),
    ]
    memo = f"Invoice {invoice.number}, ${format_usd(owed)} written off"
    ledger.post(kind="write_off", reference=f"invoice:{invoice.pk}:{made.pk}", legs=legs, memo=memo)
    ledger.credit(account_id=invoice.account_id, amount_nano=owed)
    return made


def _lock(invoice: Invoice) -> None:
    """Nobody else pays this invoice, writes it off or changes its wallet until the transaction ends."""
    Invoice.objects.filter(pk=invoice.pk).update(written_off_nano=F("written_off_nano"))
    Wallet.objects.filter(account=invoice.account_id).update(balance_nano=F("balance_nano"))
    invoice.refresh_from_db()
