"""Invoices for usage as they stand at Stripe; what is owed of one that nobody will pay can be written off."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path

from billing.admin.deciding import Deciding
from billing.admin.shown import Shown
from billing.forms import WriteOffForm
from billing.models import Invoice, WriteOff
from billing.services import debts
from marketplace.lib.money import format_usd
from marketplace.lib.shown import dollars
from marketplace.models import User


@admin.register(Invoice)
class InvoiceAdmin(Deciding):
    """Invoices; who may change invoices writes off what is owed of one."""

    list_display = ["number", "account", "state", "is_overdue", "amount", "sent_back", "owed", "period_end", "problem"]
    list_filter = ["state", "is_overdue"]
    search_fields = ["number", "account__slug"]
    list_select_related = ["account"]
    change_form_template = "admin/billing/invoice/change_form.html"
    fields = (
        "number", "id", "account", "state", "is_overdue", "amount", "tax", "used", "sent_back", "owed_again",
        "written_off", "owed", "period_start", "period_end", "due_at", "attempts", "problem", "url", "created_at",
    )  # fmt: skip

    tax = dollars("tax_nano", "Of it tax")
    used = dollars("usage_nano", "Usage that it asks for")
    owed_again = dollars("taken_nano", "Owed again")
    written_off = dollars("written_off_nano", "Written off")
    amount = dollars("amount_nano", "Amount")
    sent_back = dollars("returned_nano", "Sent back")

    @admin.display(description="To write off")
    def owed(self, invoice: Invoice) -> str:
        """What is owed and asked for by nobody, in dollars."""
        return f"${format_usd(debts.owed_nano(invoice))}"

    def get_urls(self) -> list[URLPattern]:
        """The decision's page beside Django's own."""
        page = self.admin_site.admin_view(self.write_off)
        return [path("<str:invoice_id>/write-off/", page, name="billing_invoice_write_off"), *super().get_urls()]

    def write_off(self, request: HttpRequest, invoice_id: str) -> HttpResponse:
        """That nobody will pay what is owed of it."""
        invoice = get_object_or_404(Invoice.objects.select_related("account"), pk=invoice_id)
        form = WriteOffForm(request.POST or None)

        def decide(user: User) -> tuple[str, str]:
            made = debts.write_off(invoice=invoice, decided_by=user, **form.cleaned_data)
            amount = f"${format_usd(made.amount_nano)}"
            return f"Wrote off {amount}: {made.reason}", f"{amount} of {invoice} is written off."

        return self.decision(
            request,
            invoice,
            form=form,
            decide=decide,
            title=f"Write off {invoice}",
            template="admin/billing/invoice/write_off.html",
            known=lambda: {
                "owed_nano": debts.owed_nano(invoice),
                "disputes": invoice.disputes.order_by("created_at"),
                "write_offs": invoice.write_offs.order_by("created_at"),
            },
        )


@admin.register(WriteOff)
class WriteOffAdmin(Shown):
    """The record of decisions."""

    list_display = ["created_at", "account", "invoice", "amount", "decided_by", "reason"]
    search_fields = ["account__slug", "invoice__number", "reason"]
    list_select_related = ["account", "invoice", "decided_by"]

    amount = dollars("amount_nano", "Amount")
