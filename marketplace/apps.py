"""The floor's application."""

from django.apps import AppConfig


class MarketplaceConfig(AppConfig):
    """Accounts, keys, catalogue, portal shell."""

    name = "marketplace"
    default_auto_field = "django.db.models.BigAutoField"
