"""Writing to the books: transactions whose entries add up to zero, once per (kind, reference)."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.db.models import F

from billing.models import Entry, LedgerAccount, Transaction, Wallet


class Unbalanced(AssertionError):
    """A bug of ours: entries that do not add up to zero."""


def account_id(*, kind: str, owner_id: int | None = None) -> int:
    """The ledger account of a kind (and owner), made when first needed."""
    # A house account has no owner: None is looked up as IS NULL.
    row, _ = LedgerAccount.objects.get_or_create(kind=kind, account_id=owner_id)  # type: ignore[misc]
    return row.pk


def post(*, kind: str, reference: str, legs: Iterable[tuple[int, int]], memo: str = "") -> Transaction:
    """Write a transaction; `legs` are (ledger account id, nano-USD), zero legs are left out.

    Runs inside the caller's database transaction. Raises Unbalanced, and IntegrityError when
    this (kind, reference) is in the books already.
    """
    entries = [(ledger_account, amount) for ledger_account, amount in legs if amount]
    if sum(amount for _, amount in entries):
        raise Unbalanced(f"{kind} {reference} does not add up to zero")
    row = Transaction.objects.create(kind=kind, reference=reference, memo=memo)
    Entry.objects.bulk_create(
        Entry(transaction=row, ledger_account_id=ledger_account, amount_nano=amount)
        for ledger_account, amount in entries
    )
    return row


def post_once(*, kind: str, reference: str, legs: Iterable[tuple[int, int]], memo: str = "") -> bool:
    """Write a transaction; False, and nothing done, when this (kind, reference) is in the books already."""
    try:
        with transaction.atomic():
            post(kind=kind, reference=reference, legs=legs, memo=memo)
    except IntegrityError:
        if is_posted(kind=kind, reference=reference):
            return False
        raise
    return True


def wallet_of(account_id: int) -> Wallet:
    """The account's wallet, made when first needed."""
    wallet, _ = Wallet.objects.get_or_create(account_id=account_id)
    return wallet


def credit(*, account_id: int, amount_nano: int) -> None:
    """Add to a wallet's balance, or take from it; the caller posts the entries in the same database transaction."""
    Wallet.objects.filter(pk=wallet_of(account_id).pk).update(balance_nano=F("balance_nano") + amount_nano)


def is_posted(*, kind: str, reference: str) -> bool:
    """Whether this (kind, reference) is in the books."""
    return Transaction.objects.filter(kind=kind, reference=reference).exists()


def freeze(*, account_id: int, because: str) -> None:
    """Refuse new holds from the next statement on; `because` is a sentence for the account's owner."""
    Wallet.objects.filter(pk=wallet_of(account_id).pk).update(is_frozen=True, frozen_because=because)


def take_back(*, account_id: int, amount_nano: int, because: str) -> None:
    """Take from a balance even what is held or spent; a wallet that this overdraws is frozen."""
    wallet = wallet_of(account_id)
    floor = F("held_nano") + amount_nano - F("credit_limit_nano")
    if not Wallet.objects.filter(pk=wallet.pk, balance_nano__gte=floor).update(
        balance_nano=F("balance_nano") - amount_nano
    ):
        freeze(account_id=account_id, because=because)
        credit(account_id=account_id, amount_nano=-amount_nano)


def thaw(*, account_id: int) -> bool:
    """Take new holds again; False, and nothing done, while the wallet is overdrawn."""
    covered = Wallet.objects.filter(
        pk=wallet_of(account_id).pk, balance_nano__gte=F("held_nano") - F("credit_limit_nano")
    )
    return bool(covered.update(is_frozen=False, frozen_because=""))
