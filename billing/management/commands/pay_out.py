"""manage.py pay_out: pay out what is ready now, as the clock would."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.gateways.stripe import connect, transport
from billing.models import Payout
from billing.services import payouts
from marketplace.lib.errors import AppError
from marketplace.lib.money import format_usd
from marketplace.models import Account


class Command(BaseCommand):
    """All that are due, or one account without waiting for the day of its next look."""

    help = "Pay out earnings that are ready, and find out about payouts whose outcome was lost."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One account by slug, or none for all that are due."""
        parser.add_argument("account", nargs="?", help="the account's slug: it is paid today even if it was looked at")

    def handle(self, *args: Any, **options: Any) -> None:
        """Pay, say what was paid."""
        if not transport.is_on():
            raise CommandError("Payouts are off: this site has no Stripe keys.")
        try:
            payouts.resume()
            made = self._one(options["account"]) if options["account"] else payouts.pay_due()
        except AppError as error:
            raise CommandError(error.message) from None
        for payout in made:
            reason = f" ({payout.error})" if payout.error else ""
            self.stdout.write(f"{payout.account.slug}: ${format_usd(payout.amount_nano)} {payout.state}{reason}")
        if not made:
            self.stdout.write("Nothing is ready to be paid out.")

    def _one(self, slug: str) -> list[Payout]:
        account = Account.objects.filter(slug=slug).first()
        if account is None:
            raise CommandError(f"There is no account {slug!r}.")
        made = payouts.pay(account.pk, available_cents=connect.available_cents(), at_once=True)
        return [made] if made else []
