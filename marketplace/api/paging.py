"""Pages of lists, as the public reference has them: `offset` and `limit`, with a total."""

from __future__ import annotations

from typing import Annotated

from ninja import Field, Schema

MOST = 100


class Page(Schema):
    """Which part of a list is wanted."""

    offset: Annotated[int, Field(ge=0, le=2**31)] = 0
    limit: Annotated[int, Field(ge=1, le=MOST)] = MOST
