"""cog.yaml read strictly: every complaint names the line and the key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from execution.package import requirements
from execution.package.errors import PackageError
from execution.package.requirements import Requirement
from marketplace.lib import money

MAX_CONFIG_CHARACTERS: Final = 64 * 1024
MAX_DEPTH: Final = 10
PYTHON_VERSIONS: Final = ("3.10", "3.11", "3.12", "3.13")
TOP_KEYS: Final = frozenset(
    {"build", "image", "predict", "run", "train", "concurrency", "weights", "environment", "chat"}
)
CHAT_KEYS: Final = frozenset({"server", "context_length", "max_output", "charge", "prompt", "completion"})
BUILD_KEYS: Final = frozenset(
    {
        "gpu",
        "gpu_memory",
        "cuda",
        "cudnn",
        "python_version",
        "python_requirements",
        "python_packages",
        "system_packages",
        "run",
        "sdk_version",
        "fast",
    }
)
MOST_TOKENS: Final = 10_000_000
PRICE: Final = re.compile(r"\d{1,5}(?:\.\d{1,6})?")
REFERENCE: Final = re.compile(r"(?P<path>[A-Za-z0-9_][A-Za-z0-9_./-]*\.py):(?P<name>[A-Za-z_]\w*)")
GPU_MEMORY: Final = re.compile(r"(\d{1,4}) ?(?:GB|GiB)")
SYSTEM_PACKAGE: Final = re.compile(r"[a-z0-9][a-z0-9+.:~=_-]{0,127}")


@dataclass(frozen=True, slots=True)
class Chat:
    """What a server of OpenAI's chat API offers: tokens, and nano-USD for a million of them.

    `by_second`: a chat costs what the model's hardware costs for as long as it runs, and its tokens nothing.
    """

    context_length: int
    max_output: int
    prompt_nano: int
    completion_nano: int
    by_second: bool = False


@dataclass(frozen=True, slots=True)
class CogConfig:
    """A cog.yaml. `path` and `name` say which class or function of which file is run.

    With `chat`, `path` is a program that serves chats, and there is no class.
    """

    path: str
    name: str
    python_version: str = ""  # "3.11"; empty: the builder's own
    requirements_file: str = ""
    packages: tuple[Requirement, ...] = ()
    system_packages: tuple[str, ...] = ()
    run_commands: tuple[str, ...] = ()
    gpu: bool = False
    gpu_memory_mib: int = 0  # 0: a whole GPU
    cuda: str = ""
    concurrency: int = 1
    train: str = ""
    chat: Chat | None = None

    @property
    def reference(self) -> str:
        """What Cog calls the type stub, "predict.py:Predictor"; of a server its file."""
        return f"{self.path}:{self.name}" if self.name else self.path

    @property
    def training(self) -> CogConfig:
        """The same with the training function where the predictor was. Only where `train` is said."""
        path, _, name = self.train.partition(":")
        return replace(self, path=path, name=name)


class _Reader:
    """A YAML mapping with the line of each key, so that complaints can point to it."""

    def __init__(self, node: yaml.MappingNode, where: str) -> None:
        self.where = where
        self.line = node.start_mark.line + 1
        self.nodes: dict[str, yaml.Node] = {}
        self.lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise PackageError(f"cog.yaml line {line}: a key must be a word.")
            if key.value in self.nodes:
                raise PackageError(f"cog.yaml line {line}: {self.path(key.value)} is written twice.")
            self.nodes[key.value], self.lines[key.value] = value, line

    def path(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def fail(self, key: str, text: str) -> PackageError:
        return PackageError(f"cog.yaml line {self.lines.get(key, self.line)}: {self.path(key)} {text}")

    def only(self, known: frozenset[str]) -> None:
        for key in self.nodes:
            if key not in known:
                place = f" It belongs under build: as build.{key}." if not self.where and key in BUILD_KEYS else ""
                raise self.fail(key, f"is not known here.{place} Known: {', '.join(sorted(known))}.")

    def has(self, key: str) -> bool:
        node = self.nodes.get(key)
        return node is not None and node.tag != "tag:yaml.org,2002:null"

    def text(self, key: str) -> str:
        node = self.nodes[key]
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(key, "must be a text.")
        return str(node.value).strip()

    def flag(self, key: str) -> bool:
        node = self.nodes[key]
        if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:bool":
            raise self.fail(key, "must be true or false.")
        return node.value.lower() in {"true", "yes", "on"}

    def items(self, key: str) -> Iterator[tuple[int, yaml.Node]]:
        node = self.nodes[key]
        if not isinstance(node, yaml.SequenceNode):
            raise self.fail(key, "must be a list.")
        for item in node.value:
            yield item.start_mark.line + 1, item

    def texts(self, key: str) -> Iterator[tuple[int, str]]:
        for line, item in self.items(key):
            if not isinstance(item, yaml.ScalarNode):
                raise PackageError(f"cog.yaml line {line}: an entry of {self.path(key)} must be a text.")
            yield line, str(item.value).strip()

    def mapping(self, key: str) -> _Reader:
        node = self.nodes[key]
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(key, "must hold keys of its own.")
        return _Reader(node, self.path(key))


def _parse(text: str) -> _Reader:
    if len(text) > MAX_CONFIG_CHARACTERS:
        raise PackageError(f"cog.yaml has more than {MAX_CONFIG_CHARACTERS} characters.")
    try:
        # Aliases are refused before anything is composed: a few lines of them can stand for gigabytes.
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            # Each further level makes every word behind it slower to read.
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise PackageError(f"cog.yaml is nested deeper than {MAX_DEPTH} levels.")
            if isinstance(event, yaml.AliasEvent):
                at = event.start_mark.line + 1 if event.start_mark else 1
                raise PackageError(f"cog.yaml line {at}: aliases (*name) are not allowed.")
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise PackageError(f"cog.yaml{line}: not valid YAML: {error.problem or error.context}.") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise PackageError(f"cog.yaml: not valid YAML: {str(error)[:200]}.") from None
    if not isinstance(node, yaml.MappingNode):
        raise PackageError("cog.yaml line 1: must hold keys such as build and predict.")
    return _Reader(node, "")


def _reference(top: _Reader, key: str) -> tuple[str, str]:
    found = REFERENCE.fullmatch(top.text(key))
    if not found or ".." in found["path"].split("/") or "//" in found["path"]:
        raise top.fail(key, f"must look like predict.py:Predictor, not {top.text(key)[:80]!r}.")
    return found["path"], found["name"]


def _server(chat: _Reader) -> tuple[str, str]:
    """The file that serves, and no name of a class in it."""
    chat.only(CHAT_KEYS)
    if not chat.has("server"):
        raise PackageError('cog.yaml: chat.server is missing; add a line such as server: "server.py".')
    found = REFERENCE.fullmatch(f"{chat.text('server')}:server")
    if not found or ".." in found["path"].split("/") or "//" in found["path"]:
        raise chat.fail(
            "server", f"must be a Python file of the upload, such as server.py, not {chat.text('server')[:80]!r}."
        )
    return found["path"], ""


def _chat(chat: _Reader) -> Chat:
    def tokens(key: str) -> int:
        given = chat.text(key) if chat.has(key) else ""
        if not given.isdecimal() or not 1 <= int(given[:9]) <= MOST_TOKENS:
            raise chat.fail(key, f"must be a number of tokens from 1 to {MOST_TOKENS:,}.")
        return int(given)

    def price(key: str) -> int:
        given = chat.text(key) if chat.has(key) else ""
        if not PRICE.fullmatch(given):
            raise chat.fail(key, 'must be dollars for a million tokens in quotes, such as "0.25"; "0" is free.')
        return money.parse_usd(given)

    context = tokens("context_length")
    longest = tokens("max_output") if chat.has("max_output") else context
    charge = chat.text("charge") if chat.has("charge") else "token"
    if charge not in ("token", "second"):
        raise chat.fail("charge", f"must be token or second, not {charge[:80]!r}.")
    if charge == "second":
        for key in ("prompt", "completion"):
            if chat.has(key):
                raise chat.fail(key, "prices tokens: leave it out where chat.charge is second.")
        return Chat(context, min(longest, context), 0, 0, by_second=True)
    return Chat(context, min(longest, context), price("prompt"), price("completion"))


def _python_version(build: _Reader) -> str:
    if not build.has("python_version"):
        return ""
    given = build.text("python_version")
    minor = ".".join(given.split(".")[:2])
    if minor not in PYTHON_VERSIONS:
        hint = ' Write it in quotes: "3.10".' if given == "3.1" else ""
        raise build.fail("python_version", f"must be one of {', '.join(PYTHON_VERSIONS)}, not {given!r}.{hint}")
    return minor


def _concurrency(top: _Reader) -> int:
    if not top.has("concurrency"):
        return 1
    inner = top.mapping("concurrency")
    inner.only(frozenset({"max", "default_target"}))
    if not inner.has("max"):
        return 1
    given = inner.text("max")
    if not given.isdecimal() or not 1 <= int(given[:4]) <= 256:
        raise inner.fail("max", f"must be a whole number from 1 to 256, not {given[:20]!r}.")
    return int(given)


def _gpu_memory(build: _Reader) -> int:
    """A word of ours: `gpu_memory: 20GB`, so that several small models of one publisher fit on one GPU. In MiB."""
    if not build.has("gpu_memory"):
        return 0
    given = build.text("gpu_memory")
    found = GPU_MEMORY.fullmatch(given)
    if found is None or int(found[1]) == 0:
        raise build.fail("gpu_memory", f"must be written like 20GB, not {given[:20]!r}.")
    if not build.has("gpu") or not build.flag("gpu"):
        raise build.fail("gpu_memory", "needs gpu: true beside it.")
    return int(found[1]) * 1024


def _run_commands(build: _Reader) -> tuple[str, ...]:
    commands = []
    for line, item in build.items("run") if build.has("run") else ():
        if isinstance(item, yaml.MappingNode):
            commands.append(_Reader(item, "build.run").text("command"))
        elif isinstance(item, yaml.ScalarNode):
            commands.append(str(item.value))
        else:
            raise PackageError(f"cog.yaml line {line}: an entry of build.run must be a command.")
    return tuple(commands)


def read_config(text: str) -> CogConfig:
    """A cog.yaml in either spelling (`predict:` or `run:`). Raises PackageError naming line and key."""
    top = _parse(text)
    top.only(TOP_KEYS)
    if top.has("predict") and top.has("run"):
        raise top.fail("run", "and predict name the same thing; keep one of them.")
    key = "run" if top.has("run") else "predict"
    if top.has("chat"):
        if top.has(key):
            raise top.fail("chat", f"and {key} exclude each other: a model answers chats or runs predictions.")
        path, name, chat = *_server(top.mapping("chat")), _chat(top.mapping("chat"))
    elif not top.has(key):
        raise PackageError('cog.yaml: predict is missing; add a line such as predict: "predict.py:Predictor".')
    else:
        path, name, chat = *_reference(top, key), None
    train = ":".join(_reference(top, "train")) if top.has("train") else ""
    if train and chat:
        raise top.fail("train", "and chat exclude each other: weights go to a predictor's setup.")
    if not top.has("build"):
        return CogConfig(path=path, name=name, concurrency=_concurrency(top), train=train, chat=chat)
    build = top.mapping("build")
    build.only(BUILD_KEYS)
    if build.has("python_requirements") and build.has("python_packages"):
        raise build.fail("python_packages", "and build.python_requirements exclude each other; keep one of them.")
    packages = []
    for line, one in build.texts("python_packages") if build.has("python_packages") else ():
        packages.append(requirements.read_one(one, f"cog.yaml line {line}"))
    system = []
    for line, one in build.texts("system_packages") if build.has("system_packages") else ():
        if not SYSTEM_PACKAGE.fullmatch(one):
            raise PackageError(f"cog.yaml line {line}: {one[:80]!r} is not the name of a system package.")
        system.append(one)
    requirements_file = build.text("python_requirements") if build.has("python_requirements") else ""
    if requirements_file.startswith("/") or ".." in requirements_file.split("/") or "\\" in requirements_file:
        raise build.fail("python_requirements", "must be a path inside the upload, such as requirements.txt.")
    return CogConfig(
        path=path,
        name=name,
        python_version=_python_version(build),
        requirements_file=requirements_file.removeprefix("./"),
        packages=tuple(packages),
        system_packages=tuple(system),
        run_commands=_run_commands(build),
        gpu=build.flag("gpu") if build.has("gpu") else False,
        gpu_memory_mib=_gpu_memory(build),
        cuda=build.text("cuda") if build.has("cuda") else "",
        concurrency=_concurrency(top),
        train=train,
        chat=chat,
    )
