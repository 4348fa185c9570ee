"""The project package and the floor that everything else stands on."""

from marketplace.celery import app as celery_app

__all__ = ("celery_app",)
