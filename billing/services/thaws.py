"""Staff's way back for a frozen wallet: with a reason that is kept, and a debt either paid or written off."""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.db.models import F

from billing.models import LedgerAccount, Thaw, Wallet
from billing.services import disputes, ledger
from marketplace.lib.errors import Conflict, InvalidRequest
from marketplace.lib.money import format_usd
from marketplace.models import Account, User

LOST: Final = "lost"
LONGEST_REASON: Final = 300


def debt_nano(wallet: Wallet) -> int:
    """How far a wallet is below what its credit limit allows, in nano-USD."""
    return max(0, -(wallet.balance_nano + wallet.credit_limit_nano))


@transaction.atomic
def thaw(*, account: Account, reason: str, decided_by: User | None, write_off: bool = False) -> Thaw:
    """Let a frozen wallet take requests again, and close the disputes that were lost; the row says who and why.

    `decided_by` is None for a command at the host. With `write_off` a debt becomes bad debt of ours; without, the
    account pays it first. Raises InvalidRequest for a reason that is empty or too long, Conflict for a wallet that is
    not frozen, for a dispute without the bank's word, for a debt, and while requests hold what is not covered.
    """
    reason = reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON:
        raise InvalidRequest(f"Say why, in 1 to {LONGEST_REASON} characters.", metadata={"field": "reason"})
    _lock(account)
    wallet = ledger.wallet_of(account.pk)
    if not wallet.is_frozen:
        raise Conflict("This wallet is not frozen.")
    if undecided := disputes.freezing(account_id=account.pk).exclude(state=LOST).first():
        raise Conflict(f"The bank has not decided on dispute {undecided.pk}: won, it thaws the wallet by itself.")
    debt = debt_nano(wallet)
    if debt and not write_off:
        raise Conflict(f"The wallet owes ${format_usd(debt)}: the account tops up, or the debt is written off.")
    made = Thaw.objects.create(
        account=account,
        decided_by=decided_by,
        reason=reason,
        frozen_because=wallet.frozen_because,
        written_off_nano=debt,
    )
    if debt:
        _write_off(made)
    disputes.freezing(account_id=account.pk).filter(state=LOST).update(closed_by=made)
    if not ledger.thaw(account_id=account.pk):
        held = format_usd(wallet.held_nano)
        raise Conflict(f"Running requests still hold ${held} that is not covered: try again when they have ended.")
    return made


def _lock(account: Account) -> None:
    """Nothing else changes this wallet until the transaction ends; on both databases."""
    Wallet.objects.filter(account=account).update(balance_nano=F("balance_nano"))


def _write_off(made: Thaw) -> None:
    legs: list[ledger.Leg] = [
        (LedgerAccount.Kind.WALLET, made.account_id, made.written_off_nano),
        (LedgerAccount.Kind.BAD_DEBT, None, -made.written_off_nano),
    ]
    ledger.post(kind="write_off", reference=str(made.pk), legs=legs, memo="Debt written off")
    ledger.credit(account_id=made.account_id, amount_nano=made.written_off_nano)
