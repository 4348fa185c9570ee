"""Classes of machines and what a second of each costs, read from a table and applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml
from django.db import transaction
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from execution.services import chats
from marketplace.lib import money
from marketplace.lib.errors import InvalidRequest
from marketplace.services import catalog

SEEDS: Final = Path(__file__).resolve().parent.parent / "seeds" / "hardware.yaml"


class Line(BaseModel):
    """One class; `per_second` is dollars as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sku: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    name: str = Field(min_length=1, max_length=100)
    per_second: str
    gpu_memory_gb: int = Field(default=0, ge=0)
    cpus: int = Field(default=1, ge=1)
    memory_gb: int = Field(default=1, ge=1)

    @property
    def nano_per_second(self) -> int:
        """The price in nano-USD. Raises ValueError for a text that is no amount."""
        return money.parse_usd(self.per_second)


class _Tables(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tables: dict[str, list[Line]]


def read(text: str, *, table: str) -> list[Line]:
    """The lines of one table. Raises InvalidRequest that says what is wrong with the file."""
    try:
        given: Any = yaml.safe_load(text)
        tables = _Tables.model_validate(given).tables
    except yaml.YAMLError as error:
        raise InvalidRequest(f"The file is not YAML: {error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"The file is no table of hardware: {place}: {first['msg']}.") from None
    if table not in tables:
        raise InvalidRequest(f"The file has no table {table!r}; it has {', '.join(tables)}.")
    lines = tables[table]
    skus = [line.sku for line in lines]
    if len(set(skus)) != len(skus):
        raise InvalidRequest(f"The table {table} names a class twice.")
    for line in lines:
        try:
            price = line.nano_per_second
        except ValueError as error:
            raise InvalidRequest(f"The table {table}: {line.sku}: {error}") from None
        if price < 0:
            raise InvalidRequest(f"The table {table}: {line.sku}: a price is zero or more.")
    return lines


@transaction.atomic
def apply(lines: list[Line]) -> None:
    """Make the classes and their prices from now on; runs under way keep the price that they began with."""
    for position, line in enumerate(lines):
        catalog.set_hardware(
            sku=line.sku,
            name=line.name,
            position=position,
            nano_per_second=line.nano_per_second,
            gpu_memory_gb=line.gpu_memory_gb,
            cpus=line.cpus,
            memory_gb=line.memory_gb,
        )
    chats.follow_hardware()
