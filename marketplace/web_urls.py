"""Addresses of the floor's pages. The last one, /<author>/<slug>, takes what nobody else took."""

from __future__ import annotations

from django.urls import path, re_path

from marketplace.names import RESERVED
from marketplace.views import (
    app_consent,
    docs,
    guardrails,
    home,
    models,
    organisations,
    playground,
    provider_keys,
    settings,
    watches,
)

urlpatterns = [
    path("", home.home, name="home"),
    path("docs", docs.quick_start, name="docs"),
    path("models", models.models, name="models"),
    path("models/<str:author>/<str:slug>/watch", watches.price_watch, name="price_watch"),
    path("providers", models.providers, name="providers"),
    path("playground/key", playground.playground_key, name="playground_key"),
    path("settings", settings.account_settings, name="account_settings"),
    path("settings/switch", settings.account_switch, name="account_switch"),
    path("auth", app_consent.app_consent, name="app_consent"),
    path("guardrails", guardrails.guardrails, name="guardrails"),
    path("guardrails/create", guardrails.guardrail_create, name="guardrail_create"),
    path("guardrails/<uuid:guardrail_id>", guardrails.guardrail, name="guardrail"),
    path("guardrails/<uuid:guardrail_id>/assign", guardrails.guardrail_assign, name="guardrail_assign"),
    path("guardrails/<uuid:guardrail_id>/delete", guardrails.guardrail_delete, name="guardrail_delete"),
    path("provider-keys", provider_keys.provider_keys, name="provider_keys"),
    path("provider-keys/<uuid:public_id>/toggle", provider_keys.provider_key_toggle, name="provider_key_toggle"),
    path("provider-keys/<uuid:public_id>/forget", provider_keys.provider_key_forget, name="provider_key_forget"),
    path("organisations", organisations.organisations, name="organisations"),
    path("organisations/create", organisations.organisation_create, name="organisation_create"),
    path("organisations/<str:slug>/", organisations.organisation, name="organisation"),
    path("organisations/<str:slug>/members", organisations.member_add, name="member_add"),
    path("organisations/<str:slug>/members/<int:member_id>/remove", organisations.member_remove, name="member_remove"),
    re_path(
        rf"^(?!(?:{'|'.join(sorted(RESERVED))})/)(?P<author>[a-z0-9][a-z0-9._-]*)/(?P<slug>[a-z0-9][a-z0-9._-]*)$",
        models.model_detail,
        name="model_detail",
    ),
]
