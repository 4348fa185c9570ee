"""Writing to the books: transactions whose entries add up to zero, once per (kind, reference)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from billing.models import Entry, LedgerAccount, Transaction, Wallet

# What a transaction moves on one ledger account: its kind, its owner (None for the house's own) and nano-USD.
Leg = tuple[str, int | None, int]


class Unbalanced(AssertionError):
    """A bug of ours: entries that do not add up to zero."""


def account_id(*, kind: str, owner_id: int | None = None) -> int:
    """The ledger account of a kind (and owner), made when first needed."""
    # A house account has no owner: None is looked up as IS NULL.
    row, _ = LedgerAccount.objects.get_or_create(kind=kind, account_id=owner_id)  # type: ignore[misc]
    return row.pk


def account_ids(wanted: Collection[tuple[str, int | None]]) -> dict[tuple[str, int | None], int]:
    """The same for several (kind, owner), in one statement where all of them are there."""
    found: dict[tuple[str, int | None], int] = {}
    kinds, owners = {kind for kind, _ in wanted}, {owner for _, owner in wanted}
    rows = LedgerAccount.objects.filter(Q(account_id__in=owners - {None}) | Q(account_id=None), kind__in=kinds)
    for kind, owner, pk in rows.values_list("kind", "account_id", "pk"):
        found[kind, owner] = pk
    return {(kind, owner): found.get((kind, owner)) or account_id(kind=kind, owner_id=owner) for kind, owner in wanted}


def post(*, kind: str, reference: str, legs: Iterable[Leg], memo: str = "") -> Transaction:
    """Write a transaction; zero legs are left out.

    Runs inside the caller's database transaction. Raises Unbalanced, and IntegrityError when
    this (kind, reference) is in the books already.
    """
    moving = [leg for leg in legs if leg[2]]
    if sum(amount for _, _, amount in moving):
        raise Unbalanced(f"{kind} {reference} does not add up to zero")
    ids = account_ids({(account_kind, owner) for account_kind, owner, _ in moving})
    row = Transaction.objects.create(kind=kind, reference=reference, memo=memo)
    Entry.objects.bulk_create(
        Entry(transaction=row, ledger_account_id=ids[account_kind, owner], amount_nano=amount)
        for account_kind, owner, amount in moving
    )
    return row


def post_once(*, kind: str, reference: str, legs: Iterable[Leg], memo: str = "") -> bool:
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
