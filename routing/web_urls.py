"""Addresses of the gateway's pages."""

from __future__ import annotations

from django.urls import path

from routing import views

urlpatterns = [
    path("chat", views.playground, name="playground"),
    path("generations/<str:generation_id>", views.generation, name="generation"),
]
