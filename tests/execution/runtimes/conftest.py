"""The workshop's fixtures, for this folder's tests."""

from tests.execution.workshop import workshop, workshop_of_session

__all__ = ["workshop", "workshop_of_session"]
