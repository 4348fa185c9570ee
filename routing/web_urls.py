"""Addresses of the gateway's pages."""

from __future__ import annotations

from django.urls import path

from routing.views import gateway, operator
from routing.views import operator_endpoints as endpoints

urlpatterns = [
    path("chat", gateway.playground, name="playground"),
    path("presets", gateway.presets, name="presets"),
    path("presets/<str:slug>", gateway.preset, name="preset"),
    path("presets/<str:slug>/toggle", gateway.preset_toggle, name="preset_toggle"),
    path("generations/<str:generation_id>", gateway.generation, name="generation"),
    path("operate", operator.providers, name="operator_providers"),
    path("operate/register", operator.register, name="operator_register"),
    path("operate/providers/<str:slug>", operator.provider, name="operator_provider"),
    path("operate/providers/<str:slug>/change", operator.provider_change, name="operator_provider_change"),
    path("operate/providers/<str:slug>/credentials", operator.provider_credentials, name="operator_credentials"),
    path("operate/providers/<str:slug>/refresh", operator.provider_refresh, name="operator_refresh"),
    path("operate/providers/<str:slug>/switch", operator.provider_switch, name="operator_provider_switch"),
    path("operate/providers/<str:slug>/models", operator.offer, name="operator_offer"),
    path("operate/endpoints/<int:endpoint_id>", endpoints.endpoint, name="operator_endpoint"),
    path("operate/endpoints/<int:endpoint_id>/price", endpoints.endpoint_price, name="operator_price"),
    path("operate/endpoints/<int:endpoint_id>/probe", endpoints.endpoint_probe, name="operator_probe"),
    path(
        "operate/endpoints/<int:endpoint_id>/switch",
        endpoints.endpoint_switch,
        name="operator_endpoint_switch",
    ),
]
