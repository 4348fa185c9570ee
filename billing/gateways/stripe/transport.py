"""How Stripe is called: the client, patience, and what its refusals mean to us.

The library repeats lost connections, 409 and 5xx by itself, with the same key; 429 it does not, so we do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

import stripe
from django.conf import settings

from marketplace.lib.errors import Conflict, Unavailable

T = TypeVar("T")

# A newer library speaks a newer version by default; ours moves only with a commit and its tests.
API_VERSION: Final = "2026-10-28.endive"
TIMEOUT: Final = 10.0
RETRIES: Final = 2
PAUSES: Final = (0.5, 1.0, 2.0)
CURRENCY: Final = "usd"

stripe.enable_telemetry = False


class PaymentsOff(Unavailable):
    """503: this site has no Stripe keys."""

    def __init__(self) -> None:
        super().__init__("Card payments are off here: this site has no Stripe keys.")


class Unreachable(Unavailable):
    """503: Stripe did not answer, or not sensibly; what was asked may have happened, so ask again with the same key."""


class Rejected(Conflict):
    """409: Stripe does not do what was asked, and says why; nothing has happened."""


def is_on() -> bool:
    """Whether this site takes payments."""
    return bool(settings.STRIPE_SECRET_KEY)


def client() -> stripe.StripeClient:
    """The client of this site's account. Raises PaymentsOff."""
    if not is_on():
        raise PaymentsOff
    return client_of(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


@lru_cache(maxsize=8)
def client_of(key: str, base: str) -> stripe.StripeClient:
    """The client for a key, at Stripe's address or (`base`) another."""
    addresses: Any = {"api": base, "meter_events": base} if base else {}
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        max_network_retries=RETRIES,
        base_addresses=addresses,
        http_client=stripe.RequestsClient(timeout=TIMEOUT),
    )


def call(ask: Callable[[], T]) -> T:
    """What Stripe answers. Raises Unreachable or Rejected; a card's refusal (stripe.CardError) is the caller's."""
    for pause in (*PAUSES, None):
        try:
            return ask()
        except stripe.RateLimitError as error:
            if pause is None:
                raise Unreachable("Stripe is busy. Try again in a minute.") from error
            time.sleep(_patience(error.headers, pause))
        except stripe.CardError:
            raise
        except stripe.InvalidRequestError as error:
            raise Rejected(error.user_message or "Stripe refuses this.") from error
        except stripe.StripeError as error:
            raise Unreachable("Stripe does not answer. Try again in a minute.") from error
    raise AssertionError("unreachable")


def _patience(headers: Mapping[str, str] | None, pause: float) -> float:
    told = (headers or {}).get("retry-after", "")
    return min(float(told), 10.0) if told.isdigit() else pause


def id_of(given: Any) -> str:
    """The id of what may be an id, an object or nothing."""
    return given if isinstance(given, str) else getattr(given, "id", "") or ""


def metadata_of(metadata: Any, name: str) -> str:
    """A word of an object's metadata; "" where it has none."""
    found = metadata.to_dict() if hasattr(metadata, "to_dict") else metadata or {}
    return str(found.get(name, ""))
