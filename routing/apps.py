"""The gateway's application."""

from django.apps import AppConfig


class RoutingConfig(AppConfig):
    """routing: public dialects in, provider dialects out, choice of endpoint, failover."""

    name = "routing"
    default_auto_field = "django.db.models.BigAutoField"
