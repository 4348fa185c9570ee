"""Addresses of the gateway's pages."""

from __future__ import annotations

from django.urls import path

from routing import views

urlpatterns = [
    path("chat", views.playground, name="playground"),
    path("presets", views.presets, name="presets"),
    path("presets/<str:slug>", views.preset, name="preset"),
    path("presets/<str:slug>/toggle", views.preset_toggle, name="preset_toggle"),
    path("generations/<str:generation_id>", views.generation, name="generation"),
]
