"""The demonstration's facts: which simulated providers run where, and what a newcomer is told to try.

The providers' processes are started by `manage.py serve`; `manage.py seed_demo` puts them into the catalogue
(addresses from `base_url`) and leaves login, key and commands here with `remember`. Kept in var/demo.json, mode 0600.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

EMAIL = "demo@example.com"
# Below the range that kernels hand out to outgoing connections, so that a remembered port stays free.
FIRST_PORT, LAST_PORT = 20_000, 29_000


@dataclass(frozen=True, slots=True)
class SimulatedProvider:
    """A provider that runs on this machine; `options` are flags of routing/simulation/program.py, without dashes."""

    slug: str
    options: dict[str, str]
    dialect: str = "openai_chat"

    def arguments(self, *, port: int) -> list[str]:
        """The command line after Python's."""
        flags = [part for name, value in self.options.items() for part in (f"--{name}", value)]
        return ["-m", "routing.simulation", "--dialect", self.dialect, "--port", str(port), "--name", self.slug, *flags]


# Prices, models and policies of the same slugs are in seeds/catalogue.yaml.
SIMULATED = (
    SimulatedProvider("sim-thrift", {"ttft": "0.35", "tps": "60", "error-rate": "0.05", "cache-from": "1024"}),
    SimulatedProvider("sim-steady", {"ttft": "0.20", "tps": "90", "cache-from": "1024"}),
    SimulatedProvider("sim-swift", {"ttft": "0.08", "tps": "220"}),
    SimulatedProvider("sim-rugged", {"ttft": "0.25", "tps": "70", "error-rate": "0.05", "rate-limit-rate": "0.05"}),
    SimulatedProvider("sim-harbour", {"ttft": "0.15", "tps": "120"}),
    SimulatedProvider("sim-summit", {"ttft": "0.10", "tps": "160"}),
)


@dataclass(frozen=True, slots=True)
class Command:
    """Something to paste into a terminal; `{api_key}` and `{base_url}` in `text` are filled in when shown."""

    title: str
    text: str


CHAT = Command(
    "A chat, streamed",
    "curl -N {base_url}/api/v1/chat/completions \\\n"
    '  -H "Authorization: Bearer {api_key}" -H "Content-Type: application/json" \\\n'
    '  -d \'{"model": "{chat_model}", "stream": true, "messages": [{"role": "user", "content": "Say hello"}]}\'',
)


# -- addresses


def ports() -> dict[str, int]:
    """The port of each simulated provider, by slug: chosen once for this var/ and remembered."""
    base = _remembered_base()
    if base is None:
        base = _free_base()
        _ports_file().write_text(json.dumps({"base": base}))
    return {provider.slug: base + place for place, provider in enumerate(SIMULATED)}


def chat_port() -> int:
    """The port of this host's hosted chats: the one behind those of the simulated providers."""
    return max(ports().values()) + 1


def settle_ports() -> dict[str, int]:
    """As `ports`, but chooses anew if another program has meanwhile taken one. Call before starting them."""
    base = _remembered_base()
    if base is not None and not _all_free(base):
        _ports_file().unlink()
    return ports()


def base_url(slug: str) -> str:
    """Where the simulated provider answers, as an OpenAI client's base URL."""
    return f"http://127.0.0.1:{ports()[slug]}/v1"


def origins() -> list[str]:
    """host:port of every simulated provider, as TURNPIKE_PRIVATE_ORIGINS wants them."""
    return [f"127.0.0.1:{port}" for port in ports().values()]


def _ports_file() -> Path:
    return Path(settings.VAR) / "ports.json"


def _remembered_base() -> int | None:
    try:
        return int(json.loads(_ports_file().read_text())["base"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _free_base() -> int:
    for _ in range(200):
        base = random.randrange(FIRST_PORT, LAST_PORT, 10)  # noqa: S311  spreads checkouts, guards nothing
        if _all_free(base):
            return base
    raise RuntimeError("No free ports between 20000 and 29000 for the simulated providers.")


def _all_free(base: int) -> bool:
    return not any(why_taken("127.0.0.1", base + place) for place in range(len(SIMULATED) + 1))


def why_taken(host: str, port: int) -> OSError | None:
    """None if a server could listen there now, else what the system says."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


# -- what the newcomer is told


def password() -> str:
    """The demo login's password: random, made once for this var/."""
    known = recall().get("password")
    if isinstance(known, str):
        return known
    made = secrets.token_urlsafe(9)
    remember(password=made)
    return made


def api_key() -> str | None:
    """The demo account's API key as last remembered; None before the first seeding."""
    known = recall().get("api_key")
    return known if isinstance(known, str) else None


def recall() -> dict[str, Any]:
    """What has been remembered; empty at first."""
    try:
        known = json.loads(_file().read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def remember(**facts: Any) -> None:
    """Merge facts into var/demo.json: `password`, `api_key`, `chat_model`."""
    path = _file()
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(recall() | facts, out, indent=2)
    draft.replace(path)


def remember_command(command: Command) -> None:
    """Have `welcome` show one more command; the same title replaces."""
    commands = {entry["title"]: entry for entry in recall().get("commands", [])}
    commands[command.title] = {"title": command.title, "text": command.text}
    remember(commands=list(commands.values()))


def welcome(*, address: str) -> str:
    """What `make run` prints when all is ready; `address` is the portal's, without a final slash."""
    known = recall()
    commands = [CHAT, *(Command(entry["title"], entry["text"]) for entry in known.get("commands", []))]
    filled = {
        "{base_url}": address,
        "{api_key}": known.get("api_key", "$TURNPIKE_API_KEY"),
        "{chat_model}": known.get("chat_model", "demo/chat"),
    }
    lines = [
        "",
        f"  Turnpike is ready:  {address}",
        f"  Log in as:          {EMAIL}   password: {known.get('password', '(see var/demo.json)')}",
        f"  API key:            {filled['{api_key}']}",
    ]
    for command in commands:
        text = command.text
        for mark, value in filled.items():
            text = text.replace(mark, str(value))
        lines += ["", f"  {command.title}:", "", text]
    lines += ["", "  Ctrl-C ends everything.", ""]
    return "\n".join(lines)


def _file() -> Path:
    return Path(settings.VAR) / "demo.json"
