"""What must always be true of the books. Run by schedule, and at the end of every journey test."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from billing import meters
from billing.models import (
    Allowance,
    Balance,
    Budget,
    Charge,
    Cursor,
    DaybookLine,
    Dispute,
    Entry,
    Hold,
    Invoice,
    LedgerAccount,
    MeterRow,
    PaidInvoice,
    Payout,
    Refund,
    Terms,
    TopUp,
    Transaction,
    UsageHour,
    Wallet,
)
from billing.services import balances, daybook, rollups
from marketplace.lib.money import NANO_PER_CENT

_STALE = dt.timedelta(minutes=10)
# Where what an account owes is written down, and what happens to invoices for usage there.
_DEBT = (LedgerAccount.Kind.WALLET, LedgerAccount.Kind.BAD_DEBT)
_AFTER_PAYMENT = ("invoice", "write_off", "refund_cleared", "refund_failed", "dispute", "dispute_won")


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is not as it must be."""

    check: str
    detail: str


def transactions_add_up_to_zero() -> Iterator[str]:
    """Each transaction's entries sum to zero."""
    wrong = Transaction.objects.annotate(total=Coalesce(Sum("entries__amount_nano"), 0)).exclude(total=0)
    for row in wrong:
        yield f"transaction {row.pk} ({row}) adds up to {row.total}"


def wallets_equal_their_entries() -> Iterator[str]:
    """A wallet's balance is the sum of its ledger entries."""
    sums = dict(
        Entry.objects.filter(ledger_account__kind=LedgerAccount.Kind.WALLET)
        .values_list("ledger_account__account_id")
        .annotate(total=Sum("amount_nano"))
    )
    for account_id, balance in Wallet.objects.values_list("account_id", "balance_nano"):
        if balance != sums.pop(account_id, 0):
            yield f"wallet of account {account_id} says {balance}, its entries say otherwise"
    for account_id, total in sums.items():
        yield f"account {account_id} has entries of {total} and no wallet"


def held_equals_open_holds() -> Iterator[str]:
    """What a wallet holds is the sum of its open holds."""
    open_sum = Coalesce(Sum("holds__amount_nano", filter=Q(holds__state=Hold.State.OPEN)), 0)
    for wallet in Wallet.objects.annotate(open=open_sum).exclude(open=F("held_nano")):
        yield f"wallet of account {wallet.account_id} holds {wallet.held_nano}, its open holds are {wallet.open}"


def budgets_equal_their_holds() -> Iterator[str]:
    """What a key's budget holds is the sum of the open holds that drew on it."""
    open_sum = Coalesce(Sum("holds__amount_nano", filter=Q(holds__state=Hold.State.OPEN)), 0)
    for budget in Budget.objects.annotate(open=open_sum).exclude(open=F("held_nano")):
        yield f"budget {budget.pk} holds {budget.held_nano}, its open holds are {budget.open}"


def allowances_equal_their_holds() -> Iterator[str]:
    """What is held of a guardrail's budget is the sum of the open holds that drew on it."""
    open_sum = Coalesce(Sum("holds__amount_nano", filter=Q(holds__state=Hold.State.OPEN)), 0)
    for allowance in Allowance.objects.annotate(open=open_sum).exclude(open=F("held_nano")):
        yield f"allowance {allowance.pk} holds {allowance.held_nano}, its open holds are {allowance.open}"


def charges_equal_their_transactions() -> Iterator[str]:
    """A charge is what its transaction took from the wallet, and its shares are the whole of it."""
    taken = Sum(
        "transaction__entries__amount_nano",
        filter=Q(transaction__entries__ledger_account__kind=LedgerAccount.Kind.WALLET),
    )
    for charge in Charge.objects.annotate(taken=Coalesce(taken, 0)):
        if charge.amount_nano != -charge.taken:
            yield f"charge {charge.pk} says {charge.amount_nano}, its transaction took {-charge.taken}"
        if charge.amount_nano + charge.bad_debt_nano != sum(share["amount_nano"] for share in charge.shares):
            yield f"the shares of charge {charge.pk} are not the whole of it"


def settled_holds_have_a_charge() -> Iterator[str]:
    """Settled means charged once; open and released mean not charged. Corrections have no hold."""
    settled = set(Hold.objects.filter(state=Hold.State.SETTLED).values_list("kind", "reference"))
    charged = set(Charge.objects.filter(corrects=None).values_list("kind", "reference"))
    for kind, reference in settled ^ charged:
        yield f"{kind} {reference}: the hold and the charge disagree"


def no_hold_is_forgotten() -> Iterator[str]:
    """An open hold is ended soon after it expires."""
    for hold in Hold.objects.filter(state=Hold.State.OPEN, expires_at__lt=timezone.now() - _STALE):
        yield f"hold {hold.pk} ({hold}) expired at {hold.expires_at} and is still open"


def carved_equals_children() -> Iterator[str]:
    """What was carved out of a hold is what its children had of it and did not give back."""
    # A child's own children have moved a part of what it had: that is in its `carved_nano`.
    had = F("children__amount_nano") + F("children__carved_nano")
    kept = Coalesce(Sum(had - F("children__returned_nano")), 0)
    for hold in Hold.objects.filter(Q(carved_nano__gt=0) | Q(children__isnull=False)).annotate(kept=kept):
        if hold.carved_nano != hold.kept:
            yield f"hold {hold.pk} says that {hold.carved_nano} were carved out of it, its children kept {hold.kept}"


def balances_equal_their_entries() -> Iterator[str]:
    """A balance carried forward is the sum of its entries up to the mark."""
    mark = Cursor.objects.filter(name=balances.CURSOR).values_list("position", flat=True).first() or 0
    rows = Entry.objects.filter(pk__lte=mark).exclude(ledger_account__kind=LedgerAccount.Kind.WALLET)
    sums = dict(rows.values_list("ledger_account").annotate(total=Sum("amount_nano")))
    for ledger_account_id, amount in Balance.objects.values_list("ledger_account_id", "amount_nano"):
        if amount != sums.pop(ledger_account_id, 0):
            yield f"the balance of ledger account {ledger_account_id} says {amount}, its entries say otherwise"
    for ledger_account_id, total in sums.items():
        yield f"ledger account {ledger_account_id} has entries of {total} and no balance"


def daybook_equals_its_entries() -> Iterator[str]:
    """A ledger account's days add up to its entries up to the mark."""
    mark = Cursor.objects.filter(name=daybook.CURSOR).values_list("position", flat=True).first() or 0
    rows = Entry.objects.filter(pk__lte=mark).exclude(ledger_account__kind=LedgerAccount.Kind.WALLET)
    sums = dict(rows.values_list("ledger_account").annotate(total=Sum("amount_nano")))
    days = DaybookLine.objects.order_by().values_list("ledger_account").annotate(total=Sum("amount_nano"))
    for ledger_account_id, amount in days:
        if amount != sums.pop(ledger_account_id, 0):
            yield f"the days of ledger account {ledger_account_id} add up to {amount}, its entries say otherwise"
    for ledger_account_id, total in sums.items():
        if total:
            yield f"ledger account {ledger_account_id} has entries of {total} and no days"


def hours_equal_their_charges() -> Iterator[str]:
    """Usage by closed hour is the sum of the charges before the end of the last one."""
    rolled = dict(UsageHour.objects.values_list("account_id").annotate(total=Sum("amount_nano")))
    rows = rollups.charged(until=rollups.closed_until())
    for account_id, total in rows.values_list("account_id").annotate(total=Sum("amount_nano")):
        if total != rolled.pop(account_id, 0):
            yield f"the closed hours of account {account_id} are not the {total} that was charged"
    for account_id, total in rolled.items():
        yield f"account {account_id} has closed hours of {total} and no charges"


def tax_equals_its_payments() -> Iterator[str]:
    """What is owed in tax is what was paid of it and not given back; disputes are booked apart."""
    rows = Entry.objects.filter(ledger_account__kind=LedgerAccount.Kind.TAX_PAYABLE)
    booked = rows.exclude(transaction__kind__in=["dispute", "dispute_won"]).aggregate(total=Sum("amount_nano"))["total"]
    paid = TopUp.objects.filter(state=TopUp.State.PAID).aggregate(total=Sum(F("tax_cents") - F("refunded_tax_cents")))
    invoices = Invoice.objects.filter(state=Invoice.State.PAID)
    invoiced = invoices.aggregate(total=Sum(F("tax_cents") - F("refunded_tax_cents")))
    expected = ((paid["total"] or 0) + (invoiced["total"] or 0)) * NANO_PER_CENT
    if (booked or 0) != expected:
        yield f"{booked or 0} are booked as tax, top-ups and invoices say {expected}"


def paid_usage_equals_its_entries() -> Iterator[str]:
    """An invoice that is paid has filled the wallet once by what it counts, or lowered what was written off of it."""
    rows = Entry.objects.filter(transaction__kind="invoice").order_by()
    wallets = rows.filter(ledger_account__kind=LedgerAccount.Kind.WALLET)
    owners = dict(wallets.values_list("transaction__reference", "ledger_account__account_id"))
    booked = rows.filter(ledger_account__kind__in=_DEBT).values_list("transaction__reference")
    found = {one: (total, owners.get(one)) for one, total in booked.annotate(total=Sum("amount_nano"))}
    paid = Invoice.objects.filter(state=Invoice.State.PAID).exclude(usage_nano=0)
    for invoice_id, account_id, usage in paid.values_list("pk", "account", "usage_nano"):
        total, owner = found.pop(invoice_id, (0, None))
        if total != usage or owner not in {account_id, None}:
            yield f"invoice {invoice_id} of account {account_id}: the wallet and the invoice disagree"
    for invoice_id in found:
        yield f"invoice {invoice_id} has filled a wallet and is not paid"


def debts_of_invoices_equal_their_entries() -> Iterator[str]:
    """What is owed again of a paid invoice is what went back of its payment; what was written off is bad debt."""
    refunds = Refund.objects.exclude(invoice=None).values_list("pk", "invoice")
    disputes = Dispute.objects.exclude(invoice=None).values_list("pk", "invoice")
    invoice_of = {**{str(pk): one for pk, one in refunds}, **dict(disputes)}
    rows = Entry.objects.filter(ledger_account__kind__in=_DEBT, transaction__kind__in=_AFTER_PAYMENT)
    taken: dict[str, int] = {}
    written_off: dict[str, int] = {}
    fields = ("transaction__kind", "transaction__reference", "ledger_account__kind", "amount_nano")
    for kind, reference, side, amount in rows.values_list(*fields):
        head, _, rest = reference.partition(":")
        of = (
            rest.partition(":")[0]
            if head == "invoice"
            else reference
            if kind == "invoice"
            else invoice_of.get(reference)
        )
        if of is None:
            continue
        if kind not in {"invoice", "write_off"}:
            taken[of] = taken.get(of, 0) - amount
        if side == LedgerAccount.Kind.BAD_DEBT:
            written_off[of] = written_off.get(of, 0) - amount
    for invoice_id, again, given_up in Invoice.objects.values_list("pk", "taken_nano", "written_off_nano"):
        if again != taken.get(invoice_id, 0):
            yield f"invoice {invoice_id}: {again} went back of its payment, its entries say {taken.get(invoice_id, 0)}"
        if given_up != written_off.get(invoice_id, 0):
            yield f"invoice {invoice_id}: {given_up} are written off, its entries say {written_off.get(invoice_id, 0)}"


def meter_rows_add_up() -> Iterator[str]:
    """What a priced meter was given to count is all that was charged in its family, less than a micro-dollar apart."""
    latest: dict[tuple[int, str], int] = {}
    given: dict[tuple[int, str], int] = {}
    rows = MeterRow.objects.exclude(meter__in=meters.QUANTITIES).order_by("hour")
    for account_id, meter, value, total in rows.values_list("account_id", "meter", "value", "total_nano"):
        latest[account_id, meter] = total
        given[account_id, meter] = given.get((account_id, meter), 0) + value
    for (account_id, meter), total in latest.items():
        if given[account_id, meter] != total // meters.NANO_PER_MICRO:
            yield f"{meter} of account {account_id} counts {given[account_id, meter]}, {total} nano-USD were charged"


def limits_equal_the_last_decision() -> Iterator[str]:
    """How far a wallet may go below zero is what staff decided last."""
    decided: dict[int, int] = dict(Terms.objects.order_by("pk").values_list("account_id", "credit_limit_nano"))
    for account_id, limit in Wallet.objects.values_list("account_id", "credit_limit_nano"):
        if limit != decided.get(account_id, 0):
            yield f"wallet of account {account_id} has a limit of {limit}, the last decision says otherwise"


def payouts_equal_their_entries() -> Iterator[str]:
    """What is on its way are the pending payouts; what left us are the paid ones, less what came back."""
    rows = Entry.objects.filter(transaction__kind__in=["payout", "payout_sent", "payout_failed", "payout_returned"])
    booked = dict(rows.order_by().values_list("ledger_account__kind").annotate(total=Sum("amount_nano")))
    on_the_way = Payout.objects.filter(state=Payout.State.PENDING).aggregate(total=Sum("amount_cents"))["total"] or 0
    paid = Payout.objects.filter(state=Payout.State.PAID)
    sent = paid.aggregate(total=Sum(F("amount_cents") - F("returned_cents")))["total"] or 0
    expected = {
        LedgerAccount.Kind.PAYOUTS_CLEARING: on_the_way * NANO_PER_CENT,
        LedgerAccount.Kind.STRIPE_CLEARING: sent * NANO_PER_CENT,
    }
    for kind, amount in expected.items():
        if booked.get(kind, 0) != amount:
            yield f"{booked.get(kind, 0)} are booked as {kind} of payouts, the payouts say {amount}"


def invoices_equal_their_entries() -> Iterator[str]:
    """What left our bank is what the paid invoices say."""
    rows = Entry.objects.filter(transaction__kind="settlement", ledger_account__kind=LedgerAccount.Kind.BANK)
    booked = rows.aggregate(total=Sum("amount_nano"))["total"] or 0
    paid = (PaidInvoice.objects.aggregate(total=Sum("invoice_cents"))["total"] or 0) * NANO_PER_CENT
    if booked != paid:
        yield f"{booked} are booked as paid by bank, the invoices say {paid}"


def nobody_is_overdrawn() -> Iterator[str]:
    """What is free is never below zero, but for frozen wallets, whose payment was taken back."""
    floor = F("held_nano") - F("credit_limit_nano")
    for wallet in Wallet.objects.filter(Q(balance_nano__lt=floor, is_frozen=False) | Q(held_nano__lt=0)):
        yield f"wallet of account {wallet.account_id} is overdrawn"


CHECKS: dict[str, Callable[[], Iterator[str]]] = {
    check.__name__: check
    for check in (
        transactions_add_up_to_zero,
        wallets_equal_their_entries,
        held_equals_open_holds,
        budgets_equal_their_holds,
        allowances_equal_their_holds,
        charges_equal_their_transactions,
        settled_holds_have_a_charge,
        carved_equals_children,
        balances_equal_their_entries,
        daybook_equals_its_entries,
        hours_equal_their_charges,
        tax_equals_its_payments,
        paid_usage_equals_its_entries,
        debts_of_invoices_equal_their_entries,
        meter_rows_add_up,
        limits_equal_the_last_decision,
        payouts_equal_their_entries,
        invoices_equal_their_entries,
        no_hold_is_forgotten,
        nobody_is_overdrawn,
    )
}


def run() -> list[Violation]:
    """Run all checks on one snapshot of the books, so that work going on meanwhile is no violation."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return [Violation(name, detail) for name, check in CHECKS.items() for detail in check()]
