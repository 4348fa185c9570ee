"""The only way to a tenant's rows: querysets that take the account first (contracts, Isolation 1)."""

from __future__ import annotations

from typing import Self, TypeVar

from django.db import models

M = TypeVar("M", bound=models.Model)


class TenantQuerySet(models.QuerySet[M]):
    """Rows that belong to an account through the field `account`."""

    def for_account(self, account_id: int) -> Self:
        """The account's own rows and nobody else's."""
        return self.filter(account_id=account_id)
