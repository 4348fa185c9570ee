"""The forms of the hosting pages: an upload, and a version's inputs by its schema."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from execution import limits, schema
from execution.schema import Field
from marketplace.models import Hardware, Model
from marketplace.models.accounts import SLUG

MOST_MB: Final = limits.MAX_ARCHIVE_BYTES // limits.MEBIBYTE
SOURCES: Final = (("archive", "A .zip from this computer"), ("git", "A Git repository"))


class PublishForm(forms.Form):
    """Where a version's sources come from, and the name of the model that it is for."""

    slug = forms.CharField(max_length=64, label="Name", validators=[SLUG], help_text="The second half of its address.")
    source = forms.ChoiceField(
        choices=SOURCES,
        label="From",
        required=False,
        initial="archive",
        widget=forms.RadioSelect,
    )
    archive = forms.FileField(
        label="Archive",
        required=False,
        help_text=f"A .zip with cog.yaml and your predictor, at most {MOST_MB:,} MB.",
    )
    # The archive, when it came in parts before the form.
    upload = forms.CharField(max_length=26, required=False, widget=forms.HiddenInput)
    git_url = forms.CharField(
        max_length=500, required=False, label="Address", help_text="https://host/path of a public repository."
    )
    git_ref = forms.CharField(
        max_length=200, required=False, label="Branch, tag or commit", help_text="Its main branch unless said."
    )
    image = forms.CharField(max_length=400, required=False, label="Image", help_text="registry/repository:tag")
    image_username = forms.CharField(max_length=255, required=False, label="User name")
    image_password = forms.CharField(
        max_length=4096,
        required=False,
        label="Password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Forgotten when the build ends.",
    )
    description = forms.CharField(max_length=500, required=False, label="Description")
    hardware = forms.ChoiceField(label="Hardware")
    visibility = forms.ChoiceField(choices=Model.Visibility.choices, label="Visibility")

    def __init__(
        self, *args: Any, machines: Sequence[Hardware], registries: Collection[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        choices = cast(forms.ChoiceField, self.fields["hardware"])
        choices.choices = [(one.sku, one.name) for one in machines]
        if registries:
            sources = cast(forms.ChoiceField, self.fields["source"])
            sources.choices = [*SOURCES, ("image", "An image that Cog has built")]
            self.fields["image"].help_text = f"registry/repository:tag, from {' or '.join(sorted(registries))}."
        self.fields["archive"].widget.attrs["accept"] = ".zip,application/zip"

    def clean(self) -> dict[str, Any]:
        """The chosen source is there."""
        given = super().clean() or {}
        given["source"] = given.get("source") or "archive"
        for source, name, says in (("git", "git_url", "the repository"), ("image", "image", "the image")):
            if given["source"] == source and not given.get(name):
                self.add_error(name, f"Say where {says} is.")
        there = given.get("upload") or given.get("archive") or "archive" in self.errors
        if given["source"] == "archive" and not there:
            self.add_error("archive", "Choose a .zip.")
        return given


class ReleaseForm(forms.Form):
    """What a deployment runs, on which machines and how many of them."""

    version = forms.CharField(
        max_length=64, required=False, label="Version", help_text="The version's id; the newest unless said."
    )
    hardware = forms.ChoiceField(label="Hardware")
    min_instances = forms.IntegerField(
        min_value=0, max_value=limits.MOST_LEAST_INSTANCES, label="Kept warm", help_text="Paid all the time; 0 to 5."
    )
    max_instances = forms.IntegerField(
        min_value=0, max_value=limits.MOST_INSTANCES, label="At most", help_text="When many wait; 0 switches it off."
    )

    def __init__(self, *args: Any, machines: Sequence[Hardware], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = cast(forms.ChoiceField, self.fields["hardware"])
        choices.choices = [(one.sku, one.name) for one in machines]


class DeploymentForm(ReleaseForm):
    """A deployment's name and model, and its first release."""

    name = forms.CharField(max_length=64, label="Name", validators=[SLUG])
    model = forms.CharField(max_length=130, label="Model", help_text="owner/name, yours or a public one.")


class DestinationForm(forms.Form):
    """The account's own model that a training goes to."""

    slug = forms.CharField(
        max_length=64,
        label="Your model",
        validators=[SLUG],
        help_text="It gets the trained version. A name that you have no model of makes a private one.",
        widget=forms.TextInput(attrs={"list": "own-models", "autocomplete": "off"}),
    )


class _FileInput(forms.FileInput):
    """A file to choose; until one is chosen, the links that the form began with stand for it."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """The chosen file or files, else the links."""
        several = self.allow_multiple_selected
        chosen = files.getlist(name) if several and hasattr(files, "getlist") else files.get(name)
        links = data.getlist(f"{name}-link") if hasattr(data, "getlist") else []
        return chosen or (links if several else next(iter(links), None))

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The input, and behind it what is taken unless something is chosen."""
        values = value if isinstance(value, list) else [value]
        links = [(f"{name}-link", one, _file_name(one)) for one in values if isinstance(one, str)]
        kept = format_html_join(
            "",
            '<input type="hidden" name="{}" value="{}"><span class="small faint">{}, unless you choose another</span>',
            links,
        )
        return format_html("{}{}", super().render(name, value, attrs, renderer), kept)


class _ManyFilesInput(_FileInput):
    """Several files."""

    allow_multiple_selected = True


def _file_name(link: str) -> str:
    return "a short file" if link.startswith("data:") else unquote(urlsplit(link).path.rpartition("/")[2]) or link


class _OneFile(forms.FileField):
    """A file that is sent, or the link of one."""

    widget = _FileInput

    def clean(self, data: Any, initial: Any = None) -> Any:
        """A link stays what it is: what it opens is checked with the input."""
        return data if isinstance(data, str) and data else super().clean(data, None)


class _ManyFiles(_OneFile):
    """Several files under one name."""

    widget = _ManyFilesInput

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        """Each of them checked."""
        given = data if isinstance(data, list | tuple) else [data] if data else []
        if not given:
            super().clean(None, initial)
        return [super(_ManyFiles, self).clean(one, initial) for one in given]


class RunForm(forms.Form):
    """A version's inputs, in the order and with the bounds that its schema gives them.

    `start` are values to begin with, such as an example's; a file among them is a link to it.
    """

    def __init__(
        self, *args: Any, document: schema.Schema, start: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **{"prefix": "run", **kwargs})
        self.inputs = schema.fields(document)
        for one in self.inputs:
            self.fields[one.name] = _field(one)
            if start and one.name in start:
                self.initial[one.name] = start[one.name]

    def given(self) -> dict[str, Any]:
        """What was filled in, as JSON values and uploaded files; what was left empty is left out."""
        found: dict[str, Any] = {}
        for one in self.inputs:
            value = self.cleaned_data.get(one.name)
            if one.kind == "boolean":
                found[one.name] = bool(value)
            elif value not in (None, "", []):
                found[one.name] = value
        return found


def _field(one: Field) -> forms.Field:
    common: dict[str, Any] = {
        "label": one.title,
        "required": one.required and one.kind != "boolean",
        "help_text": "",
        "initial": one.default,
    }
    field: forms.Field
    match one.kind:
        case "file":
            field = _OneFile(max_length=255, **common)
        case "files":
            field = _ManyFiles(max_length=255, **common)
        case "choice":
            empty = [] if one.required or one.default is not None else [("", "—")]
            field = forms.TypedChoiceField(
                choices=[*empty, *((str(value), str(value)) for value in one.choices)],
                coerce=lambda text: next((value for value in one.choices if str(value) == text), text),
                empty_value=None,
                **common,
            )
        case "boolean":
            field = forms.BooleanField(**{**common, "required": False})
        case "integer":
            field = forms.IntegerField(min_value=_whole(one.minimum), max_value=_whole(one.maximum), **common)
        case "number":
            field = forms.FloatField(min_value=one.minimum, max_value=one.maximum, **common)
            field.widget.attrs["step"] = "any"
        case "secret":
            field = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "off"}), strip=False, **common)
        case "list" | "json":
            field = forms.JSONField(widget=forms.Textarea(attrs={"rows": 3}), **common)
        case _:
            area = forms.Textarea(attrs={"rows": 3}) if (one.max_length or 10_000) > 200 else forms.TextInput()
            field = forms.CharField(widget=area, max_length=one.max_length, strip=False, **common)
    field.help_text = _help(one)
    return field


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _help(one: Field) -> str:
    """Plain text: it is a creator's, so the page shows it escaped."""
    parts = [one.description.strip()] if one.description else []
    if one.minimum is not None or one.maximum is not None:
        low, high = (("" if bound is None else f"{bound:g}") for bound in (one.minimum, one.maximum))
        parts.append(f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}")
    if one.kind in ("file", "files"):
        parts.append(f"at most {limits.MAX_FILE_BYTES // limits.MEBIBYTE} MB")
    if one.kind in ("list", "json"):
        parts.append(f"JSON, such as {json.dumps(one.default if one.default is not None else [])}")
    return " · ".join(parts)
