"""manage.py thaw_wallet: let a frozen wallet take requests again, with a reason that is kept."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.services import thaws
from marketplace.lib.errors import AppError
from marketplace.lib.money import format_usd
from marketplace.models import Account


class Command(BaseCommand):
    """The same as staff's page; the decision is recorded without a person."""

    help = "Let a frozen wallet take requests again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The account by slug, why, and what becomes of a debt."""
        parser.add_argument("account", help="the account's slug, such as demo")
        parser.add_argument("--reason", required=True, help="why, for the record")
        parser.add_argument("--write-off", action="store_true", help="book what the wallet owes as bad debt")

    def handle(self, *args: Any, **options: Any) -> None:
        """Decide, say what was done."""
        account = Account.objects.filter(slug=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['account']!r}.")
        try:
            made = thaws.thaw(
                account=account, reason=options["reason"], decided_by=None, write_off=options["write_off"]
            )
        except AppError as error:
            raise CommandError(error.message) from None
        written_off = f", ${format_usd(made.written_off_nano)} written off" if made.written_off_nano else ""
        self.stdout.write(f"{account.slug} takes requests again{written_off}.")
