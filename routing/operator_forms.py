"""The forms of the operator's pages: a provider, the models it offers, prices, credentials."""

from __future__ import annotations

from typing import Any, Final, cast

import orjson
from django import forms
from pydantic import ValidationError as NotSound

from marketplace.catalogue.form import Offer, Policy, read_prices, write_price
from marketplace.lib import tariffs
from marketplace.lib.errors import AppError
from marketplace.models import Provider
from marketplace.services import operators

DIALECT_NAMES: Final = {
    "openai_chat": "OpenAI",
    "generic": "OpenAI-compatible (vLLM, SGLang, Ollama, llama.cpp, LM Studio)",
}
# What a model does -> what goes in and what comes out.
KINDS: Final = {
    "chat": ("Chat", ["text"], ["text"]),
    "embeddings": ("Embeddings", ["text"], ["embeddings"]),
    "rerank": ("Rerank", ["text"], ["rerank"]),
    "image": ("Images", ["text"], ["image"]),
    "speech": ("Speech", ["text"], ["speech"]),
    "transcription": ("Transcription", ["audio"], ["transcription"]),
}
CAPABILITIES: Final = (
    ("tools", "Tools"),
    ("response_format", "JSON"),
    ("structured_outputs", "JSON by a schema"),
    ("image", "Images as input"),
)
USUAL: Final = "max_tokens temperature top_p stop"


class PolicyForm(forms.Form):
    """What a provider is called, where its list is, and what it does with data."""

    name = forms.CharField(max_length=200, label="Name", help_text="As callers see it.")
    listing_url = forms.CharField(
        required=False, max_length=500, label="Address of its model list",
        help_text="A /models listing with prices, OpenAI’s or the provider monitor’s schema. Fetched every 15 minutes.",
    )  # fmt: skip
    trains = forms.BooleanField(required=False, label="Trains on what it is sent")
    retains = forms.BooleanField(required=False, label="Keeps prompts")
    zdr = forms.BooleanField(required=False, label="Keeps nothing (zero data retention)")
    retention_days = forms.IntegerField(required=False, min_value=0, max_value=36_500, label="Keeps them for, days")
    region = forms.CharField(required=False, max_length=32, label="Region", help_text="Where it computes, such as eu.")

    def clean(self) -> dict[str, Any]:
        """A policy that says one thing."""
        given = super().clean() or self.cleaned_data
        if given.get("zdr") and (given.get("retains") or given.get("trains")):
            self.add_error("zdr", "What keeps or trains on prompts has no zero retention: tick one or the other.")
        return given

    def policy(self, before: dict[str, Any] | None = None) -> Policy:
        """What is said of data; what the form does not ask for stays."""
        given = self.cleaned_data
        said = {name: given[name] for name in ("trains", "retains", "zdr", "retention_days", "region")}
        return Policy.model_validate((before or {}) | said)

    @staticmethod
    def initial_of(row: Provider) -> dict[str, Any]:
        """The fields as a provider fills them."""
        return {**row.policy, "name": row.name, "listing_url": row.listing_url}


class CredentialsForm(forms.Form):
    """Credentials, one or several."""

    credentials = forms.CharField(
        max_length=20_000, label="Credentials",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text='The provider’s API key, or several fields as a JSON object: {"api_key": "…"}. Stored encrypted.',
    )  # fmt: skip

    def clean_credentials(self) -> dict[str, str]:
        """Name -> secret."""
        text = self.cleaned_data["credentials"].strip()
        if not text.startswith("{"):
            return {"api_key": text} if text else {}
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise forms.ValidationError(f"This is no JSON object: {error.msg}.") from None
        if not all(isinstance(value, str) for value in found.values()) or not 1 <= len(found) <= 10:
            raise forms.ValidationError("Write one to ten fields, each a text in quotes.")
        return cast("dict[str, str]", found)


class ProviderForm(PolicyForm, CredentialsForm):
    """A new provider."""

    slug = forms.CharField(
        max_length=64, label="Short name", help_text="Lower-case letters, digits and dashes; it stays."
    )
    dialect = forms.ChoiceField(label="Dialect", initial="generic", help_text="How it wants to be spoken to.")
    base_url = forms.CharField(
        max_length=500, label="Base URL", help_text="Such as https://api.example.com/v1: all before /chat/completions."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(one, DIALECT_NAMES.get(one, one)) for one in operators.dialects()]
        cast(forms.ChoiceField, self.fields["dialect"]).choices = choices
        self.fields["credentials"].required = False

    def said(self) -> dict[str, Any]:
        """What services.operators takes."""
        names = ("slug", "name", "dialect", "base_url", "listing_url", "credentials")
        return {name: self.cleaned_data[name] for name in names} | {"policy": self.policy()}


class PricesForm(forms.Form):
    """Prices in dollars, written as in the catalogue file so that no digit is lost."""

    prompt = forms.CharField(required=False, max_length=30, label="Input, $/M tokens")
    completion = forms.CharField(required=False, max_length=30, label="Output, $/M tokens")
    others = forms.CharField(
        required=False, max_length=1_000, label="Other prices",
        help_text="One or several, by commas: generated_image 0.04, cached_read 0.01. Under a condition: "
        "prompt>200000 2.50 above 200,000 prompt tokens, prompt@1630-0030 0.14 at a time of day (UTC).",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("prompt", "completion"):
            self.fields[name].widget.attrs["inputmode"] = "decimal"

    def clean_prompt(self) -> dict[str, int]:
        """The price by its unit."""
        return self._read("prompt")

    def clean_completion(self) -> dict[str, int]:
        """The price by its unit."""
        return self._read("completion")

    def clean_others(self) -> dict[str, int]:
        """Unit -> price."""
        found: dict[str, str] = {}
        for part in self.cleaned_data["others"].split(","):
            unit, _, amount = part.strip().partition(" ")
            if unit:
                found[unit] = amount.strip()
        return _prices(found)

    def _read(self, unit: str) -> dict[str, int]:
        text = self.cleaned_data[unit].strip().removeprefix("$")
        return _prices({unit: text}) if text else {}

    def clean(self) -> dict[str, Any]:
        """At least one price."""
        given = super().clean() or self.cleaned_data
        if not self.errors and self.has_changed() and not self.prices():
            self.add_error("prompt", "Name at least one price; a free model says 0.")
        if not self.errors and (problems := tariffs.contradictions(self.prices())):
            self.add_error("others", "; ".join(problems))
        return given

    def prices(self) -> dict[str, int]:
        """Unit -> nano-USD per million units."""
        given = self.cleaned_data
        return {**given.get("prompt", {}), **given.get("completion", {}), **given.get("others", {})}

    @staticmethod
    def initial_of(table: dict[str, int]) -> dict[str, str]:
        """The fields as prices fill them."""
        told = {unit: write_price(unit, nano) for unit, nano in table.items()}
        others = ", ".join(f"{unit} {text}" for unit, text in told.items() if unit not in {"prompt", "completion"})
        return {"prompt": told.get("prompt", ""), "completion": told.get("completion", ""), "others": others}


class OfferForm(PricesForm):
    """A model that a provider serves."""

    model = forms.CharField(max_length=200, label="Model", help_text="publisher/model, as callers name it.")
    upstream = forms.CharField(max_length=200, label="Its name at the provider")
    kind = forms.ChoiceField(choices=[(key, row[0]) for key, row in KINDS.items()], initial="chat", label="Does")
    context_length = forms.IntegerField(min_value=1, max_value=2**31 - 1, label="Context, tokens")
    max_output = forms.IntegerField(required=False, min_value=1, max_value=2**31 - 1, label="Longest answer, tokens")
    parameters = forms.CharField(
        required=False, max_length=1_000, initial=USUAL, label="Parameters", help_text="By spaces, such as seed top_k."
    )
    capabilities = forms.MultipleChoiceField(
        required=False, choices=CAPABILITIES, widget=forms.CheckboxSelectMultiple, label="Claims",
        help_text="Each is probed before the model is shown.",
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """An offer that is sound as a whole."""
        given = super().clean()
        if self.errors or not self.has_changed():
            return given
        _, inputs, outputs = KINDS[given["kind"]]
        is_chat = given["kind"] == "chat"
        claims = given["capabilities"] if is_chat else []
        try:
            given["offer"] = Offer.model_validate(
                {
                    "model": given["model"],
                    "upstream": given["upstream"],
                    "context_length": given["context_length"],
                    "max_output": given["max_output"],
                    "modalities": {"input": inputs + (["image"] if "image" in claims else []), "output": outputs},
                    "parameters": [*given["parameters"].split(), *(one for one in claims if one != "image")]
                    if is_chat
                    else [],
                    "price": {unit: write_price(unit, nano) for unit, nano in self.prices().items()},
                }
            )
        except NotSound as error:
            for one in error.errors():
                field = str(one["loc"][0]) if one["loc"] else ""
                text = "Write it as publisher/model." if field == "model" else one["msg"].removeprefix("Value error, ")
                self.add_error(field if field in self.fields else None, text)
        return given


OFFERS: Final = forms.formset_factory(OfferForm, extra=3, max_num=50)


def offers(formset: Any) -> list[Offer]:
    """What the rows that were filled in offer."""
    return [form.cleaned_data["offer"] for form in formset.forms if form.cleaned_data.get("offer")]


def _prices(texts: dict[str, str]) -> dict[str, int]:
    try:
        return read_prices(texts, is_whole=False)
    except ValueError as error:
        raise forms.ValidationError(str(error)) from None


def say(form: forms.Form, error: AppError) -> None:
    """The service's complaint at the field that it names, or above the form."""
    name, _, text = error.message.partition(": ")
    if text and name in form.fields:
        form.add_error(name, text[0].upper() + text[1:])
    else:
        form.add_error(None, error.message)
