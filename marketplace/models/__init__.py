"""The floor's tables."""

from marketplace.models.accounts import Account, Member, User
from marketplace.models.catalog import Collection, Endpoint, Hardware, Model, Notice, Provider, Publisher, Version
from marketplace.models.grants import AppCode
from marketplace.models.guardrails import Guardrail, GuardrailKey, GuardrailMember
from marketplace.models.keys import ApiKey
from marketplace.models.prices import Price
from marketplace.models.provider_keys import ProviderKey
from marketplace.models.watches import PriceWatch

__all__ = (
    "Account",
    "ApiKey",
    "AppCode",
    "Collection",
    "Endpoint",
    "Guardrail",
    "GuardrailKey",
    "GuardrailMember",
    "Hardware",
    "Member",
    "Model",
    "Notice",
    "Price",
    "PriceWatch",
    "Provider",
    "ProviderKey",
    "Publisher",
    "User",
    "Version",
)
