"""manage.py grant_role ACCOUNT ROLE: what an account may do on the market."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketplace.models import Account


class Command(BaseCommand):
    """Staff's decision: an operator's endpoints get callers' prompts and their money."""

    help = "Give an account a role (operator: it may register providers), or take it with --revoke."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whom and what."""
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("role", choices=Account.Role.values)
        parser.add_argument("--revoke", action="store_true", help="take the role away; its providers are switched off")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the account's roles."""
        account = Account.objects.filter(slug=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['account']!r}.")
        role: str = options["role"]
        others = [one for one in account.roles if one != role]
        account.roles = others if options["revoke"] else [*others, role]
        account.save(update_fields=["roles"])
        if options["revoke"] and role == Account.Role.OPERATOR:
            account.providers.update(is_active=False)
        self.stdout.write(f"{account.slug}: {', '.join(account.roles) or 'no role'}.")
