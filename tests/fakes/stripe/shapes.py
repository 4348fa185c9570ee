"""What requests may hold, read from the installed library's own types when the tests start.

Each operation of `*_service.py` names its TypedDict of parameters; nothing of Stripe's is written down here.
"""

from __future__ import annotations

import ast
import decimal
import importlib
import json
import re
import types
import typing
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin
from urllib.parse import parse_qsl

import stripe
import typing_extensions

_ROOT = Path(stripe.__file__).parent
_OPTIONS = frozenset(importlib.import_module("stripe._request_options").RequestOptions.__annotations__)
# What the annotations of the library name, but its modules import for type checkers only.
_NAMES = {**vars(typing), "StripeContext": str}


class Wrong(Exception):
    """A parameter that Stripe would refuse, and why."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


def decode(body: str) -> dict[str, Any]:
    """Stripe's form encoding, `a[b][0][c]=d`, as nested dicts; lists become lists. The JSON of v2 comes to the same."""
    if body.startswith("{"):
        spelled: dict[str, Any] = _spelled(json.loads(body))
        return spelled
    root: dict[str, Any] = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        path = re.findall(r"[^\[\]]+", name)
        place = root
        for step in path[:-1]:
            place = place.setdefault(step, {})
        place[path[-1]] = value
    decoded: dict[str, Any] = _listed(root)
    return decoded


def check(method: str, path: str, given: dict[str, Any]) -> None:
    """Raises Wrong for parameters that the operation does not have, lacks or has of another type."""
    shape = operations()[method, path]
    if shape is not None:
        _typed(shape, given, "")


@lru_cache(maxsize=1)
def operations() -> dict[tuple[str, str], Any]:
    """(method, path with {} for ids) -> the type of the parameters, for every operation of the library."""
    found: dict[tuple[str, str], Any] = {}
    for file in _ROOT.rglob("*_service.py"):
        text = file.read_text()
        if '"/v1/' not in text and '"/v2/' not in text:
            continue
        tree = ast.parse(text)
        origins = {
            name.name: node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for name in node.names
        }
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            call = _request_of(function)
            if call is not None:
                found[call] = (origins, _params_of(function))
    return {call: _Lazy(*where) if where[1] else None for call, where in found.items()}


class _Lazy:
    """A type that is imported when it is first looked at: few of hundreds are."""

    def __init__(self, origins: dict[str, str], name: str) -> None:
        self._origins, self._name = origins, name

    def load(self) -> Any:
        return getattr(importlib.import_module(self._origins[self._name]), self._name)


def _request_of(function: ast.FunctionDef) -> tuple[str, str] | None:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_request":
            method, path = node.args[0], node.args[1]
            if isinstance(path, ast.Call) and isinstance(path.func, ast.Attribute):  # "…".format(…)
                path = path.func.value
            if isinstance(method, ast.Constant) and isinstance(path, ast.Constant):
                return str(method.value), re.sub(r"\{\w+\}", "{}", str(path.value))
    return None


def _params_of(function: ast.FunctionDef) -> str:
    for argument in function.args.args:
        if argument.arg == "params" and argument.annotation is not None:
            names = re.findall(r"\w+Params\b", ast.unparse(argument.annotation))
            return names[0] if names else ""
    return ""


def _typed(shape: Any, given: Any, where: str) -> None:
    if isinstance(shape, _Lazy):
        shape = shape.load()
    if typing_extensions.is_typeddict(shape):
        _dict(shape, given, where)
        return
    origin = get_origin(shape)
    if origin in {typing_extensions.NotRequired, typing_extensions.Required, typing.NotRequired, typing.Required}:
        _typed(get_args(shape)[0], given, where)
    elif origin in {Union, types.UnionType}:
        _any(get_args(shape), given, where)
    elif origin is list:
        if not isinstance(given, list):
            raise Wrong(where, f"Invalid array: {where}")
        for n, one in enumerate(given):
            _typed(get_args(shape)[0], one, f"{where}[{n}]")
    elif origin is dict:
        if not isinstance(given, dict):
            raise Wrong(where, f"Invalid object: {where}")
    elif origin is Literal or origin is typing_extensions.Literal:
        if given not in get_args(shape):
            raise Wrong(where, f"Invalid {where}: must be one of {', '.join(map(str, get_args(shape)))}")
    elif shape in _SCALARS and not (isinstance(given, str) and _SCALARS[shape](given)):
        raise Wrong(where, f"Invalid {shape.__name__}: {where}")


def _any(choices: tuple[Any, ...], given: Any, where: str) -> None:
    first: Wrong | None = None
    for choice in choices:
        try:
            return _typed(choice, given, where)
        except Wrong as wrong:
            first = first or wrong
    if first is not None:
        raise first


def _dict(shape: Any, given: Any, where: str) -> None:
    if not isinstance(given, dict):
        raise Wrong(where, f"Invalid object: {where}")
    known = _known(shape)
    for name, value in given.items():
        inner = f"{where}[{name}]" if where else name
        if name not in known:
            raise Wrong(inner, f"Received unknown parameter: {inner}")
        _typed(known[name], value, inner)
    for name, hint in known.items():
        is_optional = get_origin(hint) in {typing_extensions.NotRequired, typing.NotRequired}
        if name not in given and not is_optional:
            inner = f"{where}[{name}]" if where else name
            raise Wrong(inner, f"Missing required param: {inner}.")


@cache
def _known(shape: Any) -> dict[str, Any]:
    module = importlib.import_module(shape.__module__)
    hints = typing_extensions.get_type_hints(shape, vars(module), _NAMES, include_extras=True)
    return {name: hint for name, hint in hints.items() if name not in _OPTIONS}


def _is_decimal(text: str) -> bool:
    try:
        return decimal.Decimal(text).is_finite()
    except decimal.InvalidOperation:
        return False


_SCALARS: dict[Any, Any] = {
    int: lambda text: re.fullmatch(r"-?\d+", text) is not None,
    float: _is_decimal,
    decimal.Decimal: _is_decimal,
    bool: lambda text: text in {"true", "false"},
    str: lambda text: True,
}


def _spelled(node: Any) -> Any:
    """JSON as the form encoding spells it."""
    if isinstance(node, dict):
        return {name: _spelled(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_spelled(value) for value in node]
    return node if isinstance(node, str) else json.dumps(node)


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(name.isdigit() for name in node):
        return [_listed(node[name]) for name in sorted(node, key=int)]
    return {name: _listed(value) for name, value in node.items()}
