"""The reference of an image in a registry, as a publisher writes it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from execution.package.errors import PackageError

MAX_REFERENCE: Final = 400
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REFERENCE: Final = re.compile(
    r"(?P<registry>[A-Za-z0-9.-]+(?::\d{1,5})?|\[[0-9a-f:]+\](?::\d{1,5})?)"
    rf"/(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True, slots=True)
class Image:
    """Where an image lies: `name` is registry and repository; `tag` counts where there is no `digest`."""

    registry: str
    name: str
    tag: str
    digest: str

    @property
    def text(self) -> str:
        """The reference as an engine reads it."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"

    def at(self, digest: str) -> str:
        """The same image, whatever its tag comes to mean."""
        return f"{self.name}@{digest}"


def read_image(reference: str, *, registries: Collection[str]) -> Image:
    """The image behind "registry/repository[:tag][@digest]", the tag `latest` unless said.

    `registries` are those that the operator has listed, "host" or "host:port". Raises PackageError with what to change.
    """
    if not registries:
        raise PackageError(
            "This site takes no images: its operator lists the registries that they may come from in "
            "TURNPIKE_IMAGE_REGISTRIES."
        )
    found = REFERENCE.fullmatch(reference.strip()) if len(reference) <= MAX_REFERENCE else None
    if found is None:
        raise PackageError("Write the image as registry/repository:tag, or with @sha256:… and its digest.")
    if found["registry"] not in registries:
        known = ", ".join(sorted(registries))
        raise PackageError(f"Images may come from {known}, and not from {found['registry']}.")
    return Image(
        registry=found["registry"],
        name=f"{found['registry']}/{found['repository']}",
        tag=found["tag"] or "latest",
        digest=found["digest"] or "",
    )
