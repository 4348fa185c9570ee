"""A stateful Stripe of our own: checks requests by the installed library's types, keeps books, signs webhooks."""

from tests.fakes.stripe.server import FakeStripe

__all__ = ["FakeStripe"]
