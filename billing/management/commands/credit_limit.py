"""manage.py credit_limit: let an account pay afterwards, by invoice, up to a limit; 0 makes it prepaid again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.services import metered
from marketplace.lib.errors import AppError
from marketplace.lib.money import format_usd, parse_usd
from marketplace.models import Account


class Command(BaseCommand):
    """The same as staff's page; the decision is recorded without a person."""

    help = "Set how far an account may go below zero: it then pays by invoice."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The account by slug, the limit in dollars, why."""
        parser.add_argument("account", help="the account's slug, such as demo")
        parser.add_argument("dollars", help="the credit limit, such as 500; 0 for prepaid")
        parser.add_argument("--reason", required=True, help="why, for the record")

    def handle(self, *args: Any, **options: Any) -> None:
        """Decide, say what holds now."""
        account = Account.objects.filter(slug=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['account']!r}.")
        try:
            limit = parse_usd(options["dollars"])
        except ValueError as error:
            raise CommandError(str(error)) from None
        try:
            metered.decide(account=account, credit_limit_nano=limit, reason=options["reason"], decided_by=None)
        except AppError as error:
            raise CommandError(error.message) from None
        said = f"pays by invoice, up to ${format_usd(limit)}" if limit else "is prepaid"
        self.stdout.write(f"{account.slug} {said}.")
