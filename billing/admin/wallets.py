"""Wallets and what staff decide of them: how far below zero, and when a frozen one takes requests again."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path

from billing.admin.deciding import Deciding
from billing.admin.shown import Shown
from billing.forms import CreditLimitForm, ThawForm
from billing.models import Dispute, Terms, Thaw, Wallet
from billing.services import disputes, metered, thaws
from marketplace.lib.money import format_usd
from marketplace.lib.shown import dollars
from marketplace.models import User


@admin.register(Wallet)
class WalletAdmin(Deciding):
    """Wallets; a frozen one can be thawed by who may change wallets."""

    list_display = ["account", "free", "is_frozen", "frozen_because"]
    list_filter = ["is_frozen"]
    search_fields = ["account__slug", "account__name"]
    list_select_related = ["account"]
    change_form_template = "admin/billing/wallet/change_form.html"

    free = dollars("free_nano", "Free to spend")

    def get_urls(self) -> list[URLPattern]:
        """The decisions' pages beside Django's own."""
        thaw = path("<int:wallet_id>/thaw/", self.admin_site.admin_view(self.thaw), name="billing_wallet_thaw")
        limit = path("<int:wallet_id>/limit/", self.admin_site.admin_view(self.limit), name="billing_wallet_limit")
        return [thaw, limit, *super().get_urls()]

    def limit(self, request: HttpRequest, wallet_id: int) -> HttpResponse:
        """How far the account may go below zero."""
        wallet = get_object_or_404(Wallet.objects.select_related("account"), pk=wallet_id)
        form = CreditLimitForm(request.POST or None)

        def decide(user: User) -> tuple[str, str]:
            made = metered.decide(account=wallet.account, decided_by=user, **form.asked())
            logged = f"Credit limit ${format_usd(made.credit_limit_nano)}: {made.reason}"
            return logged, f"The credit limit of {wallet.account} holds from now on."

        return self.decision(
            request,
            wallet,
            form=form,
            decide=decide,
            title=f"Credit limit of {wallet.account}",
            template="admin/billing/wallet/limit.html",
            known=lambda: {"invoices": metered.open_invoices(account_id=wallet.account_id)},
        )

    def thaw(self, request: HttpRequest, wallet_id: int) -> HttpResponse:
        """When a frozen wallet takes requests again."""
        wallet = get_object_or_404(Wallet.objects.select_related("account"), pk=wallet_id)
        form = ThawForm(request.POST or None)

        def decide(user: User) -> tuple[str, str]:
            made = thaws.thaw(account=wallet.account, decided_by=user, **form.cleaned_data)
            return f"Thawed: {made.reason}", f"{wallet.account} takes requests again."

        return self.decision(
            request,
            wallet,
            form=form,
            decide=decide,
            title=f"Thaw the wallet of {wallet.account}",
            template="admin/billing/wallet/thaw.html",
            known=lambda: {
                "debt": format_usd(thaws.debt_nano(wallet)),
                "disputes": disputes.freezing(account_id=wallet.account_id).order_by("created_at"),
            },
        )


@admin.register(Terms)
class TermsAdmin(Shown):
    """Who may pay afterwards, up to what, and why."""

    list_display = ["account", "limit", "reason", "decided_by", "created_at"]
    search_fields = ["account__slug", "account__name"]
    list_select_related = ["account", "decided_by"]

    limit = dollars("credit_limit_nano", "Credit limit")


@admin.register(Thaw)
class ThawAdmin(Shown):
    """The record of decisions."""

    list_display = ["created_at", "account", "decided_by", "reason", "written_off"]
    search_fields = ["account__slug", "reason"]
    list_select_related = ["account", "decided_by"]

    written_off = dollars("written_off_nano", "Written off")


@admin.register(Dispute)
class DisputeAdmin(Shown):
    """Payments that banks took back."""

    list_display = ["id", "account", "state", "amount", "created_at"]
    list_filter = ["state"]
    list_select_related = ["topup__account", "invoice__account"]

    @admin.display(description="Account")
    def account(self, dispute: Dispute) -> str:
        """Whose payment it was."""
        return str(dispute.source.account)

    @admin.display(description="Amount")
    def amount(self, dispute: Dispute) -> str:
        """In dollars."""
        return f"${dispute.amount_cents // 100}.{dispute.amount_cents % 100:02}"
