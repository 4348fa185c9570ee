"""Credit that comes into wallets without a payment."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import F

from billing.models import LedgerAccount, Transaction, Wallet
from billing.services import ledger
from marketplace.lib.errors import InvalidRequest


def grant(*, account_id: int, amount_nano: int, reference: str, memo: str = "Promotional credit") -> bool:
    """Give promotional credit, once per reference; False when it was given already.

    Raises InvalidRequest for an amount that is not positive.
    """
    if amount_nano <= 0:
        raise InvalidRequest("A grant is more than zero dollars.")
    wallet = ledger.wallet_of(account_id)
    legs = [
        (ledger.account_id(kind=LedgerAccount.Kind.PROMOTIONAL_EXPENSE), -amount_nano),
        (ledger.account_id(kind=LedgerAccount.Kind.WALLET, owner_id=account_id), amount_nano),
    ]
    try:
        with transaction.atomic():
            ledger.post(kind="grant", reference=reference, legs=legs, memo=memo)
            Wallet.objects.filter(pk=wallet.pk).update(balance_nano=F("balance_nano") + amount_nano)
    except IntegrityError:
        if Transaction.objects.filter(kind="grant", reference=reference).exists():
            return False
        raise
    return True
