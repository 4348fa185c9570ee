"""Requirements read strictly: names from the host's package index with versions, and one option."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from execution.package.errors import PackageError

MAX_REQUIREMENTS: Final = 500
NO_DEPS: Final = "--no-deps"
REQUIREMENT: Final = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"\s*(?P<extras>\[[A-Za-z0-9._,\s-]*\])?"
    r"\s*(?P<version>\(?(?:(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*\)?)"
    r"\s*(?P<marker>;[^#]*?)?"
    r"(?P<hashes>(?:\s+--hash=sha(?:256|384|512):[0-9a-f]+)*)"
)
EXACT: Final = re.compile(r"={2,3}\s*[A-Za-z0-9.+!_-]+\s*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement as pip takes it, and where the creator wrote it: `origin` is "requirements.txt line 3".

    `alone`: installed without what it asks for in turn, as its line says with --no-deps.
    """

    text: str
    name: str
    origin: str
    alone: bool = False

    @property
    def written(self) -> str:
        """The line as it was written, spaces apart: equal lines are equal needs."""
        return " ".join([*self.text.split(), *([NO_DEPS] if self.alone else [])])


def read_one(text: str, origin: str) -> Requirement:
    """One requirement. Raises PackageError for an address, a path, and every option but a last --no-deps."""
    text = text.strip()
    if text.startswith("-"):
        raise PackageError(
            f"{origin}: the option {text.split()[0][:40]!r} is not allowed; the package index is the host's. "
            "Write plain requirements such as numpy==2.2.1."
        )
    if "@" in text or "://" in text or text.startswith((".", "/")) or text.endswith((".whl", ".tar.gz", ".zip")):
        raise PackageError(f"{origin}: {text[:80]!r} is an address or a path; only names from the package index work.")
    words = text.split()
    alone = words[-1:] == [NO_DEPS]
    if alone:
        text = text.removesuffix(NO_DEPS).rstrip()
    found = REQUIREMENT.fullmatch(text)
    if not found:
        raise PackageError(f"{origin}: {text[:80]!r} is not a requirement such as numpy==2.2.1.")
    if alone and not EXACT.fullmatch(found["version"]):
        # What it asks for is listed by hand beside it, which is right for one version only.
        raise PackageError(f"{origin}: {NO_DEPS} needs an exact version, such as {found['name']}==1.0 {NO_DEPS}.")
    name = re.sub(r"[-_.]+", "-", found["name"]).lower()
    if name in {"cog", "coglet"}:
        raise PackageError(f"{origin}: {found['name']} comes with the platform; remove this line.")
    return Requirement(text=text, name=name, origin=origin, alone=alone)


def read_requirements(*, text: str, name: str) -> tuple[Requirement, ...]:
    """The requirements of a requirements.txt called `name`. Raises PackageError as `read_one` does, naming the line."""
    found: list[Requirement] = []
    pending, first = "", 0
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        first = first or number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        line, origin = (pending + line).strip(), f"{name} line {first}"
        pending, first = "", 0
        if line:
            found.append(read_one(line, origin))
        if len(found) > MAX_REQUIREMENTS:
            raise PackageError(f"{name}: more than {MAX_REQUIREMENTS} requirements.")
    if pending.strip():
        raise PackageError(f"{name} line {first}: the last line ends with a backslash.")
    return tuple(found)
