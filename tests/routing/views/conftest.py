"""The cast's browsers."""

from tests.cast import alice, bob, charlie, shop

__all__ = ("alice", "bob", "charlie", "shop")
