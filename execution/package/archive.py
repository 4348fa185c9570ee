"""Zip archives of strangers, unpacked without trusting a byte of them; and the digest of what came out."""

from __future__ import annotations

import hashlib
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from execution.package.errors import PackageError

CHUNK: Final = 256 * 1024
MEBIBYTE: Final = 1024 * 1024
BYTES_PER_ENTRY: Final = 1024  # in the table of contents: a long name and its extra fields
RATIO_FREE_BYTES: Final = MEBIBYTE  # below this size any ratio is harmless (a file of zeros)
WINDOWS_NAMES: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{a}{n}" for a in ("com", "lpt") for n in range(1, 10))}
)
ENCRYPTED: Final = 0x1
JUNK: Final = ("__MACOSX/", ".git/", "__pycache__/")


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """Bounds of an archive. `ratio` is unpacked : packed, per entry and in all."""

    entries: int = 10_000
    total_bytes: int = 2 * 1024 * MEBIBYTE
    file_bytes: int = 1024 * MEBIBYTE
    ratio: int = 100
    path_characters: int = 240
    depth: int = 30


@dataclass(frozen=True, slots=True)
class Entry:
    """One unpacked file: its path with forward slashes, its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was unpacked. `entries` in the archive's order, files only."""

    entries: tuple[Entry, ...]
    total_bytes: int


def _show(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:60] + "…" + name[-16:])


def _parts(name: str, limits: UnpackLimits) -> tuple[str, ...]:
    """The entry's path in pieces. Raises PackageError when it could point anywhere but inside."""
    shown = _show(name)
    if "\x00" in name:
        raise PackageError(f"The entry {shown} has a NUL character in its name.")
    if "\\" in name:
        raise PackageError(f"The entry {shown} has a backslash in its name; use forward slashes.")
    if name.startswith("/"):
        raise PackageError(f"The entry {shown} is an absolute path; entries must be relative.")
    if len(name) > 1 and name[1] == ":":
        raise PackageError(f"The entry {shown} names a drive; entries must be relative.")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise PackageError(f"The entry {shown} has a control character in its name.")
    if len(name) > limits.path_characters:
        raise PackageError(f"The entry {shown} has a name longer than {limits.path_characters} characters.")
    pieces = [piece for piece in name.split("/") if piece not in ("", ".")]
    if ".." in pieces:
        raise PackageError(f"The entry {shown} leads out of the archive (..).")
    if not pieces:
        raise PackageError(f"The entry {shown} has no name.")
    if len(pieces) > limits.depth:
        raise PackageError(f"The entry {shown} is nested deeper than {limits.depth} folders.")
    for piece in pieces:
        if len(piece.encode()) > 255 or piece.endswith((" ", ".")) or piece.split(".")[0].lower() in WINDOWS_NAMES:
            raise PackageError(f"The entry {shown} has a name that not every system can hold.")
    return tuple(pieces)


def _check_kind(info: zipfile.ZipInfo) -> None:
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    shown = _show(info.filename)
    if kind == stat.S_IFLNK:
        raise PackageError(f"The entry {shown} is a symbolic link; archives may hold files and folders only.")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise PackageError(f"The entry {shown} is a device, pipe or socket; archives may hold files and folders only.")
    if info.is_dir() != (kind == stat.S_IFDIR) and kind:
        raise PackageError(f"The entry {shown} calls itself both a file and a folder.")
    if info.flag_bits & ENCRYPTED:
        raise PackageError(f"The entry {shown} is encrypted.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise PackageError(f"The entry {shown} is packed by a method other than deflate.")


class _Names:
    """Refuses names that fall together, also on a system that ignores case or composes accents differently."""

    def __init__(self) -> None:
        self.kinds: dict[str, tuple[str, bool]] = {}

    def add(self, parts: tuple[str, ...], *, is_dir: bool) -> None:
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            folder = is_dir or depth < len(parts)
            key = unicodedata.normalize("NFC", path).casefold()
            known = self.kinds.setdefault(key, (path, folder))
            if known[0] != path:
                raise PackageError(f"The entries {_show(known[0])} and {_show(path)} differ only in case or accents.")
            if known[1] != folder:
                raise PackageError(f"The entry {_show(path)} is both a file and a folder.")


def _common_root(paths: Iterable[tuple[str, ...]]) -> int:
    """1 when everything lies in one folder and cog.yaml in it (zips of a folder are like that), else 0."""
    paths = list(paths)
    first = {path[0] for path in paths}
    return int(len(first) == 1 and all(len(path) > 1 for path in paths) and (first.pop(), "cog.yaml") in paths)


def _copy(source: IO[bytes], target: Path, info: zipfile.ZipInfo, limits: UnpackLimits, room: int) -> int:
    """Bytes written; counted while they come, since what an archive says about itself proves nothing."""
    written, shown = 0, _show(info.filename)
    with target.open("xb") as file:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > limits.file_bytes:
                raise PackageError(
                    f"The entry {shown} unpacks to more than {limits.file_bytes} bytes, the limit per file."
                )
            if written > RATIO_FREE_BYTES and written > limits.ratio * max(info.compress_size, 1):
                raise PackageError(f"The entry {shown} unpacks to more than {limits.ratio} times its packed size.")
            if written > room:
                raise PackageError(
                    f"The archive unpacks to more than {limits.total_bytes} bytes or {limits.ratio} times its own size "
                    f"(at the entry {shown})."
                )
            file.write(chunk)
    target.chmod(0o755 if (info.external_attr >> 16) & 0o111 else 0o644)
    return written


def _check_directory(fileobj: IO[bytes], limits: UnpackLimits) -> None:
    """Refuses a long table of contents before zipfile turns it into objects, which take ten times its room."""
    end = zipfile._EndRecData(fileobj)  # type: ignore[attr-defined]  # reads the last 64 KiB, zip64 included
    if end is None:
        raise PackageError("The file is not a zip archive.")
    entries, size = int(end[zipfile._ECD_ENTRIES_TOTAL]), int(end[zipfile._ECD_SIZE])  # type: ignore[attr-defined]
    if entries > limits.entries:
        raise PackageError(f"The archive has {entries} entries; the limit is {limits.entries}.")
    if size > limits.entries * BYTES_PER_ENTRY:
        raise PackageError(f"The archive's table of contents is too long for the limit of {limits.entries} entries.")


def unpack(fileobj: IO[bytes], destination: Path, limits: UnpackLimits | None = None) -> Manifest:
    """Unpack a zip into `destination` (made, or empty). Raises PackageError naming the entry and the limit.

    Nothing outside `destination` is ever written. After an error it may hold some files: the caller removes it.
    A zip of one folder that holds cog.yaml is unpacked without that folder.
    """
    limits = limits or UnpackLimits()
    destination.mkdir(parents=True, exist_ok=True)
    try:
        packed = fileobj.seek(0, 2)
        _check_directory(fileobj, limits)
        with zipfile.ZipFile(fileobj) as archive:
            return _unpack(archive, destination, limits, packed)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise PackageError(f"The file is not a sound zip archive: {str(error)[:200]}.") from None


def _unpack(archive: zipfile.ZipFile, destination: Path, limits: UnpackLimits, packed: int) -> Manifest:
    """`packed` is the whole file's size: overlapping entries count it several times, we count it once."""
    infos = archive.infolist()
    if len(infos) > limits.entries:
        raise PackageError(f"The archive has {len(infos)} entries; the limit is {limits.entries}.")
    names, wanted, seen = _Names(), [], set()
    for info in infos:
        _check_kind(info)
        # zipfile has already cut names at NUL and turned the host's separators: look at what was really written.
        parts = _parts(getattr(info, "orig_filename", info.filename), limits)
        if "/".join(parts).startswith(JUNK) or any(f"{part}/" in JUNK for part in parts[:-1]):
            continue
        names.add(parts, is_dir=info.is_dir())
        if not info.is_dir():
            if parts in seen:
                raise PackageError(f"The entry {_show(info.filename)} occurs twice.")
            seen.add(parts)
            wanted.append((parts, info))
    root = _common_root([parts for parts, _ in wanted])
    room = min(limits.total_bytes, max(RATIO_FREE_BYTES, limits.ratio * packed))
    entries, total = [], 0
    for parts, info in wanted:
        path = destination.joinpath(*parts[root:])
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source:
            size = _copy(source, path, info, limits, room - total)
        total += size
        entries.append(Entry(path="/".join(parts[root:]), size=size))
    return Manifest(entries=tuple(entries), total_bytes=total)


def digest(folder: Path, *, extra: Iterable[str] = ()) -> str:
    """64 hex over the paths, executable bits and contents of all files, and over `extra` (Cog's version, packages).

    Equal contents give equal digests on every machine. Cog's own .cog/ and Python's caches do not count.
    """
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda one: one.relative_to(folder).as_posix()):
        name = path.relative_to(folder)
        if path.is_dir() or name.parts[0] == ".cog" or "__pycache__" in name.parts:
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        executable = b"x" if path.stat().st_mode & 0o100 else b"-"
        encoded = name.as_posix().encode()
        whole.update(len(encoded).to_bytes(4, "big") + encoded + executable + content)
    for text in extra:
        encoded = text.encode()
        whole.update(b"+" + len(encoded).to_bytes(4, "big") + encoded)
    return whole.hexdigest()
