"""Codes by which an app gets a key of its own: the user consents, the app exchanges the code (PKCE, RFC 7636)."""

from __future__ import annotations

from django.db import models

from marketplace.models.accounts import Account, User
from marketplace.models.keys import ApiKey


class AppCode(models.Model):
    """One consent: what the key to be made may spend, and what proves that the asker began the flow."""

    class Method(models.TextChoices):
        """How the challenge was made of the verifier; without a challenge empty."""

        NONE = "", "none"
        S256 = "S256"
        PLAIN = "plain"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    digest = models.CharField(max_length=64, unique=True)
    callback_url = models.CharField(max_length=2000, blank=True)
    challenge = models.CharField(max_length=128, blank=True)
    method = models.CharField(max_length=5, choices=Method.choices, default=Method.NONE, blank=True)
    key_name = models.CharField(max_length=100)
    limit_nano = models.BigIntegerField(null=True)
    limit_reset = models.CharField(max_length=8, blank=True)
    key_expires_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    # What it was exchanged for: disabled when somebody tries the code again.
    key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"code for {self.key_name} of {self.account}"
