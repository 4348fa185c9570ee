"""The management API whole: the routers of every floor under one root. The topmost floor knows them all."""

from __future__ import annotations

from typing import Final

from billing.api import earnings, keys
from marketplace.api import (
    app_codes,
    guardrail_assignments,
    guardrails,
    members,
    operator_endpoints,
    operators,
    provider_keys,
)
from marketplace.api.management import Management, root
from routing.api import activity, presets

API: Final[Management] = root(
    ("API keys", keys.router),
    ("Account", members.router),
    ("Keys for apps", app_codes.router),
    ("Guardrails", guardrails.router),
    ("Guardrails", guardrail_assignments.router),
    ("Presets", presets.router),
    ("Provider keys", provider_keys.router),
    ("Usage", activity.router),
    ("Earnings", earnings.router),
    ("Providers", operators.router),
    ("Providers", operator_endpoints.router),
)
