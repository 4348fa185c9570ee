"""Addresses of the money pages."""

from __future__ import annotations

from django.urls import path

from billing.views import alerts, credits, earnings, keys, margin, months, payables, usage, webhooks

urlpatterns = [
    path("keys", keys.keys, name="keys"),
    path("keys/create", keys.key_create, name="key_create"),
    path("keys/<int:key_id>/toggle", keys.key_toggle, name="key_toggle"),
    path("keys/<int:key_id>/revoke", keys.key_revoke, name="key_revoke"),
    path("usage", usage.usage, name="usage"),
    path("usage.csv", usage.usage_csv, name="usage_csv"),
    path("usage/requests.csv", usage.requests_csv, name="requests_csv"),
    path("alerts", alerts.alerts, name="alerts"),
    path("alerts/test", alerts.alert_test, name="alert_test"),
    path("alerts/secret", alerts.alert_secret, name="alert_secret"),
    path("statements", months.statements, name="statements"),
    path("statements/<int:year>-<int:month>", months.statement, name="statement"),
    path("statements/<int:year>-<int:month>.csv", months.statement_csv, name="statement_csv"),
    path("statements/<int:year>-<int:month>.pdf", months.statement_pdf, name="statement_pdf"),
    path("earnings", earnings.earnings, name="earnings"),
    path("earnings/connect", earnings.connect, name="earnings_connect"),
    path("earnings/<int:year>-<int:month>", earnings.settlement, name="settlement"),
    path("earnings/<int:year>-<int:month>.csv", earnings.settlement_csv, name="settlement_csv"),
    path("earnings/<int:year>-<int:month>.pdf", earnings.settlement_pdf, name="settlement_pdf"),
    path("margin", margin.months, name="margin"),
    path("margin/<int:year>-<int:month>", margin.month, name="margin_month"),
    path("payables", payables.payables, name="payables"),
    path("payables/<str:slug>/<str:side>/<int:year>-<int:month>", payables.payable, name="payable"),
    path("credits", credits.credits, name="credits"),
    path("credits.csv", credits.ledger_csv, name="credits_csv"),
    path("credits/topup", credits.topup, name="topup"),
    path("credits/automatic", credits.automatic, name="auto_topup"),
    path("credits/card", credits.card, name="card_save"),
    path("credits/<uuid:topup_id>/finish", credits.finish, name="topup_finish"),
    path("credits/<uuid:topup_id>/refund", credits.refund, name="topup_refund"),
    path("webhooks/stripe", webhooks.snapshot, name="stripe_webhook"),
    path("webhooks/stripe/thin", webhooks.thin, name="stripe_thin_webhook"),
]
