"""The Dockerfiles of a build, made from cog.yaml, and what they copy. They need no BuildKit."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from execution.builders import pip, steps
from execution.builders.base import BuildFailed, resolved
from execution.package import CogConfig, Requirement
from execution.runtimes import engine

VENV: Final = "/opt/venv"
CERTIFICATES_AT: Final = "/etc/ssl/certs/ca-certificates.crt"
PIP: Final = f"PYTHONPATH=/opt/pip {VENV}/bin/python -m pip"
PIP_INSTALL: Final = (
    f"{PIP} install --no-cache-dir --no-compile --only-binary :all: --disable-pip-version-check --no-input "
    "--progress-bar off"
)
INDEX: Final = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_TIMEOUT", "PIP_RETRIES")


def of_dependencies(base: str, config: CogConfig) -> str:
    """System packages and Python packages on top of a base image; needs a network."""
    lines = [
        f"FROM {base}",
        "USER 0:0",
        f"COPY ca-certificates.crt {CERTIFICATES_AT}",
        f"ENV PATH={VENV}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        f"ENV SSL_CERT_FILE={CERTIFICATES_AT}",
    ]
    if config.system_packages:
        names = " ".join(config.system_packages)
        lines.append(
            "RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "
            f"{names} && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb"
        )
    lines += [
        *(f"ARG {name}" for name in INDEX),
        f"ENV PIP_CERT={CERTIFICATES_AT}",
        "COPY pip /opt/pip/pip",
        "COPY requirements.txt alone.txt /opt/",
        f"RUN python3 -m venv --without-pip {VENV} && {PIP_INSTALL} -r /opt/requirements.txt && "
        f"{PIP_INSTALL} --no-deps -r /opt/alone.txt && {PIP} list --format=freeze "
        f"--disable-pip-version-check > /opt/packages.txt && rm -rf /opt/pip",
    ]
    return "\n".join(lines) + "\n"


def of_code(dependencies: str, config: CogConfig) -> str:
    """The creator's commands and files; a command is one line of cog.yaml, run by a shell as there."""
    lines = [f"FROM {dependencies}", "WORKDIR /src"]
    lines += [f"RUN {json.dumps(['/bin/sh', '-c', command])}" for command in config.run_commands]
    lines += ["COPY src /src", f"USER {engine.NOBODY}"]
    return "\n".join(lines) + "\n"


def index(tool: Path) -> dict[str, str]:
    """The host's package index, without what containers cannot see. Raises BuildFailed for an address with a password.

    Build arguments can be read from the image by everybody who has it.
    """
    options = {name: value for name, value in pip.host_index(tool).environment.items() if name in INDEX}
    kept: dict[str, str] = {}
    for name, value in options.items():
        words = [word for word in value.split() if not word.startswith(("file:", "/"))]
        if any(steps.CREDENTIALS.search(word) for word in words):
            raise BuildFailed(
                f"{name} of this host has a password in it, which would be readable in every image: "
                "use an index that needs none, or TURNPIKE_RUNTIME=process."
            )
        if words:
            kept[name] = " ".join(words)
    return kept


def tools(tool: Path, requirements: Sequence[Requirement]) -> bytes:
    """The context of the first stage: pip itself, certificates, requirements with all that they ask for, and alone."""
    authority = Path(os.environ.get("TURNPIKE_BUILD_CA", "") or CERTIFICATES_AT)
    content = authority.read_bytes() if authority.is_file() else b""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        archive.add(tool, arcname="pip", filter=_plain)
    together = resolved(requirements)
    alone = [one.text for one in requirements if one.alone]
    archived = with_file(memory.getvalue(), "ca-certificates.crt", content)
    archived = with_file(archived, "requirements.txt", "".join(f"{one}\n" for one in together))
    return with_file(archived, "alone.txt", "".join(f"{one}\n" for one in alone))


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if "__pycache__" in info.name:
        return None
    return replace_owner(info)


def replace_owner(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Root's, readable by all, at no particular time: the same content is the same layer."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
    return info


def context(folder: Path | None, *, under: str = "", **files: str) -> bytes:
    """A tar of a folder and of files by name (`x_json` is x.json)."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        if folder is not None:
            archive.add(folder, arcname=under, filter=replace_owner)
    content = memory.getvalue()
    for name, text in files.items():
        content = with_file(content, name.replace("_json", ".json"), text)
    return content


def with_file(content: bytes, name: str, text: str | bytes) -> bytes:
    """The tar with one file more."""
    raw = text.encode() if isinstance(text, str) else text
    memory = io.BytesIO(content)
    with tarfile.open(fileobj=memory, mode="a") as archive:
        info = replace_owner(tarfile.TarInfo(name))
        info.size = len(raw)
        archive.addfile(info, io.BytesIO(raw))
    return memory.getvalue()
