"""The hosting half's application."""

from django.apps import AppConfig


class ExecutionConfig(AppConfig):
    """Versions, builds, runtimes and predictions."""

    name = "execution"
    default_auto_field = "django.db.models.BigAutoField"
