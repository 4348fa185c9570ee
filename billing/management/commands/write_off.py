"""manage.py write_off: give up what is owed of an invoice, with a reason that is kept."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from billing.models import Invoice
from billing.services import debts
from marketplace.lib.errors import AppError
from marketplace.lib.money import format_usd


class Command(BaseCommand):
    """The same as staff's page; the decision is recorded without a person."""

    help = "Write off what is owed of an invoice for usage."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The invoice, and why."""
        parser.add_argument("invoice", help="the invoice's number or its id at Stripe")
        parser.add_argument("--reason", required=True, help="why, for the record")

    def handle(self, *args: Any, **options: Any) -> None:
        """Decide, say what was done."""
        asked = options["invoice"]
        invoice = Invoice.objects.filter(Q(pk=asked) | Q(number=asked)).select_related("account").first()
        if invoice is None:
            raise CommandError(f"There is no invoice {asked!r}.")
        try:
            made = debts.write_off(invoice=invoice, reason=options["reason"], decided_by=None)
        except AppError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"${format_usd(made.amount_nano)} of {invoice} is written off for {invoice.account.slug}.")
