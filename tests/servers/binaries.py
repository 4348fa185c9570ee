"""Where installed servers are found, on Debian and with Homebrew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/opt/homebrew/bin",
    "/usr/local/bin",
)


def postgres_bin() -> Path | None:
    """The folder with initdb and postgres, the newest version first; None where there is none."""
    folders = [folder for pattern in POSTGRES_FOLDERS for folder in sorted(Path("/").glob(pattern[1:]), reverse=True)]
    if on_path := shutil.which("postgres"):
        folders.append(Path(on_path).parent)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def redis_server() -> str | None:
    """redis-server, or Valkey's twin."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


def chromium() -> str | None:
    """A Chromium or Chrome that Playwright can drive."""
    if given := os.environ.get("CHROMIUM"):
        return given
    names = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
    found = next((path for path in map(shutil.which, names) if path), None)
    mac = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    return found or (str(mac) if mac.exists() else None)


def docker_engine() -> str | None:
    """dockerd, where this user could run it."""
    return shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin")


def debootstrap() -> str | None:
    """debootstrap, which fetches a Debian."""
    return shutil.which("debootstrap") or shutil.which("debootstrap", path="/usr/sbin")


def tesseract() -> str | None:
    """tesseract, which reads print."""
    return shutil.which("tesseract")


def ffmpeg() -> str | None:
    """ffmpeg, which takes films and sound apart."""
    return shutil.which("ffmpeg")


def flite() -> str | None:
    """flite, which reads aloud."""
    return shutil.which("flite")


def bubblewrap() -> str | None:
    """bwrap, which the process runtime uses where it is."""
    return shutil.which("bwrap")
