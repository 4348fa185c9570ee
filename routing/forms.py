"""The forms of the gateway's pages: they read and check; services do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
from django import forms

from marketplace.models.accounts import SLUG

MOST_JSON = 100_000


class PresetForm(forms.Form):
    """What a preset says, as a new version of it."""

    slug = forms.CharField(
        max_length=64, validators=[SLUG], label="Short name",
        help_text="Requests name it: “model”: “@preset/short-name”.",
    )  # fmt: skip
    model = forms.CharField(required=False, max_length=200, label="Model", help_text="publisher/model")
    system = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 5}), label="System prompt")
    temperature = forms.DecimalField(
        required=False, min_value=Decimal(0), max_value=Decimal(2), max_digits=4, decimal_places=3, label="Temperature"
    )
    max_tokens = forms.IntegerField(required=False, min_value=1, max_value=10_000_000, label="Longest answer, tokens")
    more = forms.CharField(
        required=False, max_length=MOST_JSON, widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        label="More fields of a chat, as a JSON object", help_text='{"provider": {"zdr": true}, "top_p": 0.9}',
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["temperature"].widget.attrs |= {"step": "any", "inputmode": "decimal"}
        self.fields["model"].widget.attrs["placeholder"] = "publisher/model"

    def clean_more(self) -> dict[str, Any]:
        """The object; empty without one."""
        text = self.cleaned_data["more"].strip()
        if not text:
            return {}
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise forms.ValidationError(f"This is no JSON: {error.msg}.") from None
        if not isinstance(found, dict) or "\\u0000" in text:
            raise forms.ValidationError("Write a JSON object, such as the example below.")
        return found

    def body(self) -> dict[str, Any]:
        """A body of chat/completions that says it."""
        given = self.cleaned_data
        body: dict[str, Any] = dict(given["more"])
        if given["model"]:
            body["model"] = given["model"]
        if given["temperature"] is not None:
            body["temperature"] = float(given["temperature"])
        if given["max_tokens"] is not None:
            body["max_tokens"] = given["max_tokens"]
        if given["system"].strip():
            body["messages"] = [{"role": "system", "content": given["system"]}]
        return body
