"""The books as a few numbers: what the services must come to, written without them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

CENT = 10_000_000
PROVIDER_BPS = 9_500


@dataclass
class Hold:
    """Money set aside."""

    account: int
    amount: int
    parent: str = ""
    is_open: bool = True
    is_expired: bool = False


@dataclass
class TopUp:
    """A purchase; `total` is what the card pays."""

    account: int
    credit: int
    total: int
    stripe_fee: int
    is_credited: bool = False
    refunded: int = 0
    is_taken: bool = False
    is_restored: bool = False


@dataclass
class Payout:
    """A transfer of earnings; `returned` are the reversals that are known."""

    cents: int
    state: str = "pending"
    returned: set[str] = field(default_factory=set)


@dataclass
class Invoice:
    """What Stripe asks a post-paid account to pay: micro-dollars of usage, and the cents that it makes of them.

    `state` and `is_late` are as they were told last; `taken` and `written_off` are nano-dollars.
    """

    account: int
    micro: int
    cents: int
    state: str = "open"
    is_late: bool = False
    is_paid: bool = False
    is_overdue: bool = False
    refunded: int = 0
    taken: int = 0
    written_off: int = 0
    back: dict[str, int] = field(default_factory=dict)

    @property
    def usage(self) -> int:
        return self.micro * 1_000

    @property
    def is_owed(self) -> bool:
        return self.state in {"open", "uncollectible"} and self.written_off < self.usage


@dataclass
class Books:
    """Every number of the ledger, and the rules by which they move."""

    balance: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    frozen: set[int] = field(default_factory=set)
    house: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    holds: dict[str, Hold] = field(default_factory=dict)
    disputes: dict[str, tuple[int, str]] = field(default_factory=dict)  # whose it is, and how it stands
    limits: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    invoices: dict[str, Invoice] = field(default_factory=dict)
    is_paused: bool = False

    def held(self, account: int) -> int:
        return sum(hold.amount for hold in self.holds.values() if hold.is_open and hold.account == account)

    def free(self, account: int) -> int:
        return self.balance[account] + self.limits[account] - self.held(account)

    def may_hold(self, account: int, amount: int) -> bool:
        return account not in self.frozen and self.free(account) >= amount

    def grant(self, account: int, amount: int) -> None:
        self.balance[account] += amount
        self.house["promotional_expense"] -= amount

    def settle(self, name: str, cost: int) -> int:
        """End a hold with a cost; returns what the caller pays."""
        hold = self.holds[name]
        parent = self.holds[hold.parent] if hold.parent else None
        excess = max(0, cost - hold.amount)
        if parent is not None:
            extra = min(excess, parent.amount) if parent.is_open else 0
            parent.amount -= extra
        else:
            extra = 0 if hold.account in self.frozen else min(excess, max(0, self.free(hold.account)))
        paid = min(cost, hold.amount + extra)
        self._end(name, hold.amount + extra - paid)
        self.balance[hold.account] -= paid
        provider = cost * PROVIDER_BPS // 10_000
        self.house["provider_payable"] += provider
        self.house["platform_revenue"] += cost - provider
        self.house["bad_debt"] -= cost - paid
        return paid

    def release(self, name: str) -> None:
        self._end(name, self.holds[name].amount)

    def _end(self, name: str, rest: int) -> None:
        hold = self.holds[name]
        hold.is_open = False
        if hold.parent and self.holds[hold.parent].is_open:
            self.holds[hold.parent].amount += rest

    def credit(self, topup: TopUp) -> None:
        """The payment is known: once."""
        if topup.is_credited:
            return
        topup.is_credited = True
        self.balance[topup.account] += topup.credit * CENT
        self.house["fees"] += (topup.total - topup.credit - topup.stripe_fee) * CENT
        self.house["stripe_clearing"] -= (topup.total - topup.stripe_fee) * CENT

    def take(self, topup: TopUp, fee: int) -> None:
        """The bank has taken a payment back: once."""
        if topup.is_taken:
            return
        topup.is_taken = True
        self.balance[topup.account] -= topup.credit * CENT
        self.house["fees"] -= (topup.total - topup.credit + fee) * CENT
        self.house["stripe_clearing"] += (topup.total + fee) * CENT

    def restore(self, topup: TopUp) -> None:
        """The bank has given it back: once, and only what was taken."""
        if not topup.is_taken or topup.is_restored:
            return
        topup.is_restored = True
        self.balance[topup.account] += topup.credit * CENT
        self.house["fees"] += (topup.total - topup.credit) * CENT
        self.house["stripe_clearing"] -= topup.total * CENT

    def may_decide(self, account: int, limit: int) -> bool:
        """Whether the limit covers what is owed and held, and a prepaid account owes no invoice."""
        owes = any(one.account == account and one.is_owed for one in self.invoices.values())
        covers = self.balance[account] + limit >= self.held(account)
        return account not in self.frozen and covers and (limit > 0 or not owes)

    def invoiced(self, name: str, told: Invoice) -> None:
        """An invoice is known as it stands: paid once, it fills the wallet; overdue, it freezes until then."""
        known = self.invoices.setdefault(name, Invoice(told.account, told.micro, told.cents))
        known.state = told.state
        if told.state == "paid" and not known.is_paid:
            known.is_paid = True
            self.come(known, known.usage)
            self.house["stripe_clearing"] -= told.cents * CENT
            self.house["settlement_loss"] += told.cents * CENT - known.usage
        is_late = told.state == "uncollectible" or (told.state == "open" and told.is_late)
        if is_late and not known.is_overdue and known.is_owed:
            known.is_overdue = True
            self.frozen.add(told.account)
        if not is_late and known.is_overdue:
            known.is_overdue = False
            self.thaw(told.account)

    def come(self, invoice: Invoice, nano: int) -> None:
        """Money for an invoice: what was written off lowers the bad debt, the rest fills the wallet."""
        recovered = min(invoice.written_off, nano)
        invoice.written_off -= recovered
        self.house["bad_debt"] += recovered
        self.balance[invoice.account] += nano - recovered

    def go_back(self, name: str, invoice: Invoice, cents: int) -> None:
        """So many cents of its payment go back, once by this name: by its part of the usage."""
        if name in invoice.back:
            return
        before = invoice.usage * invoice.refunded // invoice.cents
        nano = invoice.usage * (invoice.refunded + cents) // invoice.cents - before
        invoice.back[name] = nano
        invoice.taken += nano
        self.balance[invoice.account] -= nano
        self.house["stripe_clearing"] += cents * CENT
        self.house["settlement_loss"] += nano - cents * CENT

    def come_back(self, name: str, invoice: Invoice, cents: int) -> None:
        """What went back by this name is there again: once."""
        nano = invoice.back.get(name, 0)
        if not nano:
            return
        invoice.back[name] = 0
        invoice.taken -= nano
        self.come(invoice, nano)
        self.house["stripe_clearing"] -= cents * CENT
        self.house["settlement_loss"] += cents * CENT - nano

    def owed(self, invoice: Invoice) -> int:
        """What can be written off of it."""
        unpaid = invoice.usage if invoice.state in {"void", "uncollectible"} else invoice.taken
        return max(0, min(unpaid - invoice.written_off, -self.balance[invoice.account]))

    def write_off(self, invoice: Invoice) -> None:
        """Staff give up what is owed of it."""
        owed = self.owed(invoice)
        invoice.written_off += owed
        self.balance[invoice.account] += owed
        self.house["bad_debt"] -= owed

    def thaw(self, account: int) -> None:
        """Unless something else keeps it frozen: an open dispute, an overdue invoice, a debt."""
        disputed = any(status != "won" and owner == account for owner, status in self.disputes.values())
        overdue = any(one.account == account and one.is_overdue and one.is_owed for one in self.invoices.values())
        if not disputed and not overdue and self.free(account) >= 0:
            self.frozen.discard(account)

    def may_pay_out(self) -> int:
        """The whole cents that the provider can be paid."""
        return 0 if self.is_paused else max(0, self.house["provider_payable"]) // CENT

    def pay_out(self, cents: int) -> Payout:
        """Taken out of what is owed, and on its way."""
        self.house["provider_payable"] -= cents * CENT
        self.house["payouts_clearing"] += cents * CENT
        return Payout(cents)

    def refuse(self, payout: Payout) -> None:
        """Owed again."""
        payout.state = "failed"
        self.house["payouts_clearing"] -= payout.cents * CENT
        self.house["provider_payable"] += payout.cents * CENT

    def transfer(self, payout: Payout, reversals: tuple[tuple[str, int], ...]) -> None:
        """The transfer is known, with what was taken back of it: each once."""
        if payout.state == "pending":
            payout.state = "paid"
            self.house["payouts_clearing"] -= payout.cents * CENT
            self.house["stripe_clearing"] += payout.cents * CENT
        for name, cents in reversals:
            if name not in payout.returned:
                payout.returned.add(name)
                self.house["stripe_clearing"] -= cents * CENT
                self.house["provider_payable"] += cents * CENT
                self.is_paused = True
