"""What a caller is told whose request no endpoint can serve, and who is shown the name that was meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.lib.errors import NotFound
from marketplace.models import Model, Version
from marketplace.services import nearby
from routing.canonical import ChatRequest, ProviderPreferences
from routing.selection.candidates import Need
from routing.selection.filters import Exclusion
from routing.services.naming import meant
from routing.services.unserved import nothing_fits
from tests.factories.marketplace import EndpointFactory, HardwareFactory, ModelFactory, account
from tests.routing.selection.test_plan import BASE, NEED

pytestmark = pytest.mark.django_db


def left_out(number: int, reason: str, detail: str) -> Exclusion:
    return Exclusion(
        replace(BASE, endpoint_id=number, provider=f"p{number}", provider_name=f"P{number}"), reason, detail
    )


def told(*excluded: Exclusion, need: Need = NEED, name: str = "acme/small") -> str:
    return nothing_fits([name], need, excluded, account_id=account().pk).message


def test_each_reason_is_told_once_with_those_whom_it_keeps() -> None:
    rough = [left_out(number, "quantization", "runs at int4") for number in range(5)]
    message = told(*rough, left_out(9, "input_modalities", "takes no image"))
    assert "P0, P1, P2 and 2 more: runs at int4; P9: takes no image." in message
    assert "Its providers" not in message  # other names would not help


def test_what_is_only_too_long_is_a_400_that_says_how_long_it_may_be() -> None:
    need = replace(NEED, input_estimate=9_000, max_tokens=500)
    small = left_out(1, "context_length", "the input is about 9000 tokens, its context 1000")
    other = left_out(2, "allowed_providers", "in provider.ignore")
    refused = nothing_fits(["acme/small"], need, [small, other], account_id=account().pk)
    assert (refused.status, refused.kind) == (400, "context_length_exceeded")
    # Words that agents look for before they shorten a conversation: OpenAI's and Anthropic's.
    most = small.candidate.context_length
    said = "prompt is too long (context_length_exceeded): about 9000 tokens, and the maximum context length is"
    assert f"{said} {most} tokens" in refused.message
    assert refused.message.endswith("Endpoints with other reasons: P2: in provider.ignore.")
    assert refused.metadata["availability"]["excluded_by"] == ["allowed_providers", "context_length"]
    assert refused.metadata["availability"]["constraint"]["field"] == "input"
    wide = Exclusion(replace(BASE, context_length=10_000, max_output=100), "context_length", "gives at most 100 tokens")
    refused = nothing_fits(["acme/small"], need, [small, wide], account_id=account().pk)
    assert (refused.status, refused.kind) == (400, "max_tokens_exceeded")
    assert "max_tokens is too large: 500 are asked for, and acme/small can give at most 100 tokens" in refused.message


def test_one_who_named_no_provider_of_the_model_is_told_which_there_are() -> None:
    message = told(*(left_out(number, "allowed_providers", "not in provider.only") for number in range(2)))
    assert message.endswith("P0, P1: not in provider.only. Its providers: p0, p1.")


def test_a_model_that_takes_predictions_is_told_apart_from_one_that_nobody_serves() -> None:
    hosted = ModelFactory.create(slug="shapes", hardware=HardwareFactory())
    assert "No endpoint serves acme/shapes at the moment" in told(name="acme/shapes")
    Version.objects.create(id="ab" * 32, model=hosted, cog_version="0.16", openapi_schema={}, build_path="x")
    refused = nothing_fits(["acme/shapes"], NEED, (), account_id=account().pk)
    assert "Use POST /v1/models/acme/shapes/predictions." in refused.message
    assert (refused.status, refused.metadata["availability"]["code"]) == (400, "wrong_endpoint")


def test_a_picture_sent_to_a_model_of_words_is_answered_with_models_that_take_one() -> None:
    EndpointFactory(model=ModelFactory(slug="seeing"), input_modalities=["text", "image"])
    need = replace(NEED, inputs=frozenset({"text", "image"}))
    message = told(left_out(1, "input_modalities", "takes no image"), need=need)
    assert message.endswith("P1: takes no image. Models that give text and take image: acme/seeing.")


def test_a_model_that_is_asked_at_the_wrong_address_is_answered_with_the_right_one() -> None:
    painter = left_out(1, "output_modalities", "gives no text")
    painter = replace(painter, candidate=replace(painter.candidate, outputs=frozenset({"image"})))
    for outputs in ({"text"}, {"text", "image"}, {"embeddings"}):
        message = told(painter, need=replace(NEED, outputs=frozenset(outputs)))
        assert "acme/small answers at POST /api/v1/images." in message
    talker = left_out(1, "output_modalities", "gives no audio")
    assert "answers at" not in told(talker, need=replace(NEED, outputs=frozenset({"text", "audio"})))
    assert "answers at POST /api/v1/chat/completions" in told(talker, need=replace(NEED, outputs=frozenset({"rerank"})))


def test_the_name_that_was_meant_comes_nearest_first_and_never_from_a_strangers_private_models() -> None:
    for slug in ("gpt-4o-mini", "gpt-4.1", "gpt-4o-mini-tts"):
        EndpointFactory(model=ModelFactory(slug=slug))
    ModelFactory(slug="gpt-4o-secret", visibility=Model.Visibility.PRIVATE)
    mine = account().pk
    for asked in ("gpt-4o", "openai/gpt-4o", "acme/gpt-4o"):
        assert nearby.near(asked, account_id=mine) == ["acme/gpt-4o-mini", "acme/gpt-4o-mini-tts"]
    assert nearby.near("gpt-4.1-", account_id=None) == ["acme/gpt-4.1"]
    assert nearby.near("claude", account_id=None) == []


def test_only_models_that_others_may_learn_from_are_asked_where_that_is_wanted() -> None:
    for slug, facts in (("open", {"distillable": True}), ("closed", {"distillable": False}), ("silent", {})):
        EndpointFactory(model=ModelFactory(slug=slug, facts=facts))
    wanted = ChatRequest(model="", messages=(), preferences=ProviderPreferences(distillable=True))

    def models(*names: str) -> list[str]:
        return list(meant(names=names, account_id=account().pk, request=wanted, need=NEED).models)

    assert models("acme/closed", "acme/open:floor", "acme/silent") == ["acme/open"]
    assert models("auto") == ["acme/open"]
    with pytest.raises(NotFound, match=r"acme/closed, acme/silent do not let .*distillable=true") as caught:
        models("acme/closed", "acme/silent")
    assert caught.value.metadata["availability"]["excluded_by"] == ["enforce_distillable_text"]
