"""The billing application."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Money: held, settled, written down."""

    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"
