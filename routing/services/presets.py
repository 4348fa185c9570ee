"""Presets: named ways of asking, kept in versions and laid under requests that name them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from django.db import IntegrityError, transaction
from django.utils import timezone

from marketplace.lib.errors import Conflict, InvalidRequest, NotFound
from marketplace.models import User
from marketplace.models.accounts import SLUG
from routing.canonical import ChatRequest, Json, Message, ProviderPreferences, Text
from routing.ingress import anthropic_messages, openai_chat, openai_responses
from routing.models import Preset, PresetVersion
from routing.services.laid import Laid, added

MARK: Final = "@preset/"
MAX_BYTES: Final = 256 * 1024
DEFAULT: Final = "default"  # the preset that is laid under chats that name none
MOST: Final = 1_000  # of an account
# Dialect -> (its reader, what a conversation is called in it, what its system prompt is called)
DIALECTS: Final[Mapping[str, tuple[Callable[[bytes], ChatRequest], str, str]]] = {
    "chat": (openai_chat.parse, "messages", ""),
    "messages": (anthropic_messages.parse, "messages", "system"),
    "responses": (lambda body: openai_responses.parse(body).request, "input", "instructions"),
}
# What belongs to one request and not to a way of asking.
PASSING: Final = frozenset({"stream", "stream_options", "session_id", "preset", "user", "metadata", "trace", "debug"})


def listed(*, account_id: int) -> list[Preset]:
    """The account's presets, by slug."""
    return list(Preset.objects.for_account(account_id).prefetch_related("versions"))


def find(*, account_id: int, slug: str) -> Preset:
    """One of the account's. Raises NotFound, also for a stranger's."""
    is_sound = slug.isprintable() and len(slug) <= 100
    row = Preset.objects.for_account(account_id).filter(slug=slug).first() if is_sound else None
    if row is None:
        raise NotFound("There is no such preset in this account: GET /api/v1/presets lists them.")
    return row


def version(*, preset: Preset, number: str) -> PresetVersion:
    """One version by its number. Raises NotFound."""
    is_number = number.isascii() and number.isdigit() and len(number) < 10
    row = preset.versions.filter(version=int(number)).first() if is_number else None
    if row is None:
        raise NotFound(f"The preset {preset.slug} has no version {number[:20]}.")
    return row


def newest(preset: Preset) -> PresetVersion:
    """The version that counts."""
    return max(preset.versions.all(), key=lambda row: row.version)


def keep(*, account_id: int, slug: str, dialect: str, body: Mapping[str, Json], by: User | None = None) -> Preset:
    """Keep a request's body as the newest version of a preset, made when it is not there yet.

    The conversation is left out but for its system messages, which become the system prompt.
    Raises InvalidRequest for a slug or a body that cannot be used, Conflict when two keep at once.
    """
    if not re.fullmatch(SLUG.regex, slug):
        raise InvalidRequest(f"{slug[:80]!r} cannot name a preset. {SLUG.message}", metadata={"field": "slug"})
    config, prompt = _split(dialect, body)
    _check(dialect, config, prompt)
    try:
        with transaction.atomic():
            if Preset.objects.for_account(account_id).exclude(slug=slug).count() >= MOST:
                raise InvalidRequest(f"An account has at most {MOST} presets: archive or delete some.")
            preset, _ = Preset.objects.get_or_create(
                account_id=account_id, slug=slug, defaults={"name": slug, "created_by": by}
            )
            last = preset.versions.order_by("-version").values_list("version", flat=True).first() or 0
            PresetVersion.objects.create(
                preset=preset, version=last + 1, dialect=dialect, config=config, system_prompt=prompt, created_by=by
            )
            preset.save(update_fields=["updated_at"])
    except IntegrityError:
        raise Conflict(f"Somebody else is changing the preset {slug} at this moment: try again.") from None
    return preset


def change(*, preset: Preset, name: str | None, description: str | None, status: str | None) -> Preset:
    """Rename a preset, or take it out of use and back."""
    preset.name = name if name is not None else preset.name
    preset.description = description if description is not None else preset.description
    if status is not None and status != preset.status:
        preset.status = status
        preset.status_updated_at = timezone.now()
    preset.save()
    return preset


def applied(request: ChatRequest, *, account_id: int) -> Laid:
    """The request on top of the preset that it names, else of the account's `default` one: what it says itself wins.

    Raises InvalidRequest for a named preset that is not there or not active, and for one that cannot be used any more.
    """
    model, _, in_model = request.model.partition(MARK)
    slug = in_model or (request.preset or "").removeprefix(MARK)
    if not slug:
        usual = Preset.objects.for_account(account_id).filter(slug=DEFAULT, status=Preset.Status.ACTIVE)
        counts = PresetVersion.objects.filter(preset__in=usual).order_by("-version").first()
        return Laid(request) if counts is None else _laid_under(request, counts, slug=DEFAULT)
    row = Preset.objects.for_account(account_id).filter(slug=slug.replace("\x00", "")).first()
    if row is None or row.status != Preset.Status.ACTIVE:
        state = "is not active" if row else "is not there"
        raise InvalidRequest(
            f"The preset {slug[:80]!r} {state}: GET /api/v1/presets lists the account's.", metadata={"field": "preset"}
        )
    return _laid_under(dataclasses.replace(request, model=model, preset=None), newest(row), slug=row.slug)


def _laid_under(request: ChatRequest, kept: PresetVersion, *, slug: str) -> Laid:
    try:
        base, size = _read(kept.dialect, kept.config)
    except InvalidRequest as error:
        raise InvalidRequest(
            f"The account's preset '{slug}' cannot be used as kept: {error.message} Keep it anew, or disable it.",
            metadata={"preset": {"slug": slug}},
        ) from None
    names = {tool.name for tool in request.tools}
    prompt = (Message("system", (Text(kept.system_prompt),)),) if kept.system_prompt else ()
    found = dataclasses.replace(
        request,
        model=request.model or base.model,
        models=request.models or (base.models if not request.model else ()),
        messages=prompt + request.messages,
        tools=request.tools + tuple(tool for tool in base.tools if tool.name not in names),
        tool_choice=base.tool_choice if request.tool_choice is None else request.tool_choice,
        max_tokens=base.max_tokens if request.max_tokens is None else request.max_tokens,
        reasoning=request.reasoning or base.reasoning,
        response_format=request.response_format or base.response_format,
        parameters={**base.parameters, **request.parameters},
        unknown={**base.unknown, **request.unknown},
        preferences=_preferences(request.preferences, base.preferences),
        input_bytes=request.input_bytes + size + len(kept.system_prompt.encode()),
    )
    return Laid(found, slug, added(request, found, prompt=kept.system_prompt))


def _preferences(asked: ProviderPreferences, base: ProviderPreferences) -> ProviderPreferences:
    default = ProviderPreferences()
    said = {
        one.name: getattr(asked, one.name)
        for one in dataclasses.fields(asked)
        if getattr(asked, one.name) != getattr(default, one.name)
    }
    return dataclasses.replace(base, **said)


def _split(dialect: str, body: Mapping[str, Json]) -> tuple[dict[str, Json], str]:
    """(what is kept of a body, its system prompt)."""
    _, conversation, system = DIALECTS[dialect]
    config = {name: value for name, value in body.items() if name not in PASSING | {conversation, system}}
    if system:
        return config, _words(body.get(system))
    messages = body.get(conversation)
    spoken = [one for one in messages if isinstance(one, dict)] if isinstance(messages, list) else []
    prompts = [_words(one.get("content")) for one in spoken if one.get("role") in {"system", "developer"}]
    return config, "\n\n".join(filter(None, prompts))


def _words(content: Json) -> str:
    if isinstance(content, str):
        return content
    parts = [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []
    return "\n".join(text for one in parts if isinstance(text := one.get("text"), str))


def _check(dialect: str, config: Mapping[str, Any], prompt: str) -> None:
    base, size = _read(dialect, config)
    if size + len(prompt.encode()) > MAX_BYTES:
        raise InvalidRequest(f"A preset holds at most {MAX_BYTES // 1024} KiB: shorten it.")
    if MARK in base.model or any(MARK in name for name in base.models):
        raise InvalidRequest("A preset names models, not another preset.", metadata={"field": "model"})


def _read(dialect: str, config: Mapping[str, Any]) -> tuple[ChatRequest, int]:
    """(the config as a request with nothing said, its size in bytes). Raises InvalidRequest."""
    parse, conversation, _ = DIALECTS[dialect]
    nothing = "." if dialect == "responses" else [{"role": "user", "content": "."}]
    # Its dialect wants a cap; a preset need not have one.
    extra = {"max_tokens": 1} if dialect == "messages" and "max_tokens" not in config else {}
    written = orjson.dumps(config)
    base = parse(orjson.dumps({**extra, **config, conversation: nothing}))
    return (dataclasses.replace(base, max_tokens=None) if extra else base), len(written)
