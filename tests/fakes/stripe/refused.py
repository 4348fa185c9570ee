"""How the fake Stripe says no."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """An answer other than 200: its status, type, code and message."""

    def __init__(self, status: int, kind: str, message: str, *, code: str = "", **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "message": message, "code": code or None, **more}}
