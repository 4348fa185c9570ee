"""Reading the environment: typed, with secrets from files, failing loudly."""

from __future__ import annotations

import os
from pathlib import Path


class BadSetting(Exception):
    """An environment variable cannot be read as what it must be."""


def text(name: str, default: str = "") -> str:
    """The variable's text, or the default when it is unset or empty."""
    return os.environ.get(name) or default


def flag(name: str, *, default: bool = False) -> bool:
    """True for 1/true/yes/on, False for 0/false/no/off; anything else is refused."""
    value = os.environ.get(name, "").strip().lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise BadSetting(f"{name}={value!r}: write true or false.")


def integer(name: str, default: int, *, minimum: int | None = None) -> int:
    """A whole number, at least `minimum` where that is given."""
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise BadSetting(f"{name}={value!r}: write a whole number.") from None
    if minimum is not None and number < minimum:
        raise BadSetting(f"{name}={number}: the least is {minimum}.")
    return number


def words(name: str, default: str = "") -> list[str]:
    """A list separated by commas or white space, without empty entries."""
    return text(name, default).replace(",", " ").split()


def secret(name: str, default: str = "") -> str:
    """The variable itself, else the content of the file that `<NAME>_FILE` names."""
    if value := os.environ.get(name):
        return value
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise BadSetting(f"{name}_FILE={path!r} cannot be read: {error.strerror}.") from None
    return default
