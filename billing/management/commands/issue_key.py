"""manage.py issue_key: a fresh API key on the last line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.services import credits
from marketplace.lib import ids, money
from marketplace.lib.errors import AppError
from marketplace.models import Account
from marketplace.services import keys


class Command(BaseCommand):
    """Here rather than on the floor below, because it can give credit as well."""

    help = "Issue an API key for an account, with promotional credit where --credit says so."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The account by slug; dollars as decimals."""
        parser.add_argument("--account", required=True, help="the account's slug, such as demo")
        parser.add_argument("--name", default="issued by command", help="the key's name")
        parser.add_argument("--credit", help="promotional credit in dollars, such as 5.00")
        parser.add_argument("--limit", help="the key's spend limit in dollars")
        parser.add_argument("--reset", default="", help="daily, weekly or monthly")
        parser.add_argument("--scope", action="append", help="inference (default) or management; may be repeated")

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue, grant, print."""
        account = Account.objects.filter(slug=options["account"]).first()
        if account is None:
            known = ", ".join(Account.objects.order_by("slug").values_list("slug", flat=True)[:10])
            raise CommandError(f"There is no account {options['account']!r}. Accounts: {known or 'none yet'}.")
        try:
            limit = money.parse_usd(options["limit"]) if options["limit"] else None
            if options["credit"]:
                amount = money.parse_usd(options["credit"])
                credits.grant(account_id=account.pk, amount_nano=amount, reference=f"command:{ids.uuid7()}")
            _, plaintext = keys.issue(
                account=account,
                name=options["name"],
                scopes=options["scope"] or ["inference"],
                limit_nano=limit,
                limit_reset=options["reset"],
            )
        except (money.BadAmount, AppError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(plaintext)
