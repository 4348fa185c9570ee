"""The forms of the floor's pages: they read and check; services do."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from django import forms

from marketplace.lib.money import NANO
from marketplace.lib.screening import BUILTINS
from marketplace.models import Account, ApiKey, Guardrail, Member, User
from marketplace.models.accounts import SLUG
from marketplace.services.browse import SORTS, Filter

if TYPE_CHECKING:
    _UserForm = forms.ModelForm[User]
    _AccountForm = forms.ModelForm[Account]
else:  # Django's own class takes no parameter
    _UserForm = _AccountForm = forms.ModelForm

CONTEXTS = (
    ("", "Any"),
    ("8000", "8K and more"),
    ("32000", "32K and more"),
    ("128000", "128K and more"),
    ("1000000", "1M and more"),
)

BUILTIN_NAMES = {
    "email": "E-mail addresses",
    "phone": "Telephone numbers",
    "ssn": "US social security numbers",
    "credit-card": "Card numbers",
    "ip-address": "IP addresses",
}


class ModelsFilter(forms.Form):
    """The models list's search and filters; every field may be left out, wrong values count as left out."""

    q = forms.CharField(required=False, max_length=100, label="Search")
    input = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple, label="Input")
    output = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple, label="Output")
    provider = forms.ChoiceField(required=False, label="Provider")
    max_price = forms.DecimalField(required=False, min_value=0, label="Highest input price, $/M tokens")
    context = forms.ChoiceField(required=False, choices=CONTEXTS, label="Context length")
    sort = forms.ChoiceField(required=False, choices=list(SORTS.items()), label="Sort by")

    def __init__(
        self, *args: Any, inputs: list[str], outputs: list[str], providers: list[tuple[str, str]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        choices = {
            "input": [(one, one) for one in inputs],
            "output": [(one, one) for one in outputs],
            "provider": [("", "Any"), *providers],
        }
        for name, given in choices.items():
            cast(forms.ChoiceField, self.fields[name]).choices = given
        self.fields["max_price"].widget.attrs |= {"step": "any", "inputmode": "decimal", "placeholder": "Any"}

    def narrowed(self) -> Filter:
        """What was asked for."""
        self.is_valid()
        given = self.cleaned_data
        most: Decimal | None = given.get("max_price")
        return Filter(
            text=given.get("q", ""),
            inputs=frozenset(given.get("input", ())),
            outputs=frozenset(given.get("output", ())),
            provider=given.get("provider", ""),
            most_nano=None if most is None else int(most * NANO),
            least_context=int(given["context"]) if given.get("context") else None,
            sort=given.get("sort") or "newest",
        )


class ProfileForm(_UserForm):
    """A user's name."""

    class Meta:
        model = User
        fields = ("first_name", "last_name")


class AccountForm(_AccountForm):
    """What an account is called; its slug stays, since models are named by it."""

    class Meta:
        model = Account
        fields = ("name",)


class OrganisationForm(forms.Form):
    """A new organisation."""

    name = forms.CharField(max_length=200, label="Name")
    slug = forms.CharField(
        max_length=64,
        validators=[SLUG],
        label="Short name",
        help_text="In addresses and in the names of your models: lower-case letters, digits and dashes.",
    )


class MemberForm(forms.Form):
    """Who joins an organisation, and as what."""

    email = forms.EmailField(label="E-mail address", help_text="Of somebody who has signed up already.")
    role = forms.ChoiceField(choices=Member.Role.choices, initial=Member.Role.MEMBER)


ACTIONS = (("", "Let through"), ("redact", "Redact"), ("block", "Block the request"))
RESETS = (("", "Never"), ("daily", "Daily"), ("weekly", "Weekly, on Monday"), ("monthly", "Monthly"))


class GuardrailForm(forms.Form):
    """A guardrail. Lists are written one name a line; an empty list of what is allowed allows all."""

    name = forms.CharField(max_length=200, label="Name")
    description = forms.CharField(required=False, max_length=1000, label="What it is for")
    limit = forms.DecimalField(
        required=False,
        min_value=Decimal(0),
        max_value=Decimal(1_000_000),
        max_digits=16,
        decimal_places=9,
        label="Budget, $",
        help_text="For each assigned key, and for each assigned member over all their keys.",
    )
    limit_reset = forms.ChoiceField(required=False, choices=RESETS, label="Budget starts anew")
    allowed_models = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 3}), label="Allowed models",
        help_text="One a line: publisher/model or publisher/*. Empty: all.",
    )  # fmt: skip
    ignored_models = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}), label="Refused models")
    allowed_providers = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 3}), label="Allowed providers",
        help_text="One short name a line, as on the providers page. Empty: all.",
    )  # fmt: skip
    ignored_providers = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 3}), label="Refused providers"
    )
    enforce_zdr = forms.BooleanField(required=False, label="Only providers that keep nothing (zero data retention)")
    deny_data_collection = forms.BooleanField(required=False, label="No provider that may train on what it is sent")
    patterns = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}), label="Patterns",
        help_text="One a line: block or redact, a space, a regular expression (RE2), such as: redact PRJ-[0-9]{4}",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["limit"].widget.attrs |= {"step": "any", "inputmode": "decimal", "placeholder": "No budget"}
        for slug in BUILTINS:
            name = f"builtin_{slug}"
            self.fields[name] = forms.ChoiceField(required=False, choices=ACTIONS, label=BUILTIN_NAMES[slug])

    @property
    def builtins(self) -> list[forms.BoundField]:
        """The fields of what is known by name."""
        return [self[f"builtin_{slug}"] for slug in BUILTINS]

    @staticmethod
    def initial_of(row: Guardrail) -> dict[str, Any]:
        """The fields as a guardrail fills them."""
        names = ("allowed_models", "ignored_models", "allowed_providers", "ignored_providers")
        same = ("name", "description", "limit_reset", "enforce_zdr", "deny_data_collection")
        return {
            **{name: getattr(row, name) for name in same},
            **{name: "\n".join(getattr(row, name) or ()) for name in names},
            **{f"builtin_{one['slug']}": one["action"] for one in row.content_filter_builtins},
            "limit": None if row.limit_nano is None else Decimal(row.limit_nano) / NANO,
            "patterns": "\n".join(f"{one['action']} {one['pattern']}" for one in row.content_filters),
        }

    def clean_patterns(self) -> list[dict[str, str]]:
        """The lines as filters."""
        found = []
        for line in self.cleaned_data["patterns"].splitlines():
            if line.strip():
                action, _, pattern = line.strip().partition(" ")
                if action not in {"block", "redact"} or not pattern.strip():
                    raise forms.ValidationError(f"Begin each line with block or redact and a space: {line[:80]}")
                found.append({"action": action, "pattern": pattern.strip()})
        return found

    def values(self) -> dict[str, Any]:
        """What services.guardrails takes."""
        given = self.cleaned_data
        limit: Decimal | None = given["limit"]
        return {
            "name": given["name"],
            "description": given["description"],
            "limit_nano": None if limit is None else int(limit * NANO),
            "limit_reset": given["limit_reset"],
            "allowed_models": given["allowed_models"].split() or None,
            "ignored_models": given["ignored_models"].split(),
            "allowed_providers": given["allowed_providers"].split() or None,
            "ignored_providers": given["ignored_providers"].split(),
            "enforce_zdr": given["enforce_zdr"],
            "deny_data_collection": given["deny_data_collection"],
            "content_filters": given["patterns"],
            "content_filter_builtins": [
                {"slug": slug, "action": given[f"builtin_{slug}"]} for slug in BUILTINS if given[f"builtin_{slug}"]
            ],
        }


class GuardrailAssignForm(forms.Form):
    """Whom a guardrail binds."""

    keys = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple, label="Keys")
    members = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple, label="Members")

    def __init__(self, *args: Any, keys: list[ApiKey], members: list[Member], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._keys = {str(one.pk): one for one in keys}
        self._members = {str(one.pk): one for one in members}
        named = [(pk, f"{one.name} ({one.label})") for pk, one in self._keys.items()]
        people = [(pk, one.user.email) for pk, one in self._members.items()]
        cast(forms.ChoiceField, self.fields["keys"]).choices = named
        cast(forms.ChoiceField, self.fields["members"]).choices = people

    def chosen(self) -> tuple[list[ApiKey], list[Member]]:
        """The keys and members that are ticked."""
        given = self.cleaned_data
        return [self._keys[pk] for pk in given["keys"]], [self._members[pk] for pk in given["members"]]


class ConsentForm(forms.Form):
    """What an app's key may spend."""

    name = forms.CharField(max_length=100, label="Name of its key")
    limit = forms.DecimalField(
        required=False,
        min_value=Decimal(0),
        max_value=Decimal(1_000_000),
        max_digits=16,
        decimal_places=9,
        label="Spend limit, $",
        help_text="Empty: as much as the account has.",
    )
    limit_reset = forms.ChoiceField(required=False, choices=RESETS, label="Limit starts anew")

    @staticmethod
    def asked_for(query: Mapping[str, str], *, app: str) -> dict[str, str]:
        """The fields as the app proposes them; the user decides."""
        reset = query.get("usage_limit_type", "")
        return {"name": query.get("key_label", "") or app, "limit": query.get("limit", ""), "limit_reset": reset}

    def chosen(self) -> dict[str, Any]:
        """What services.app_codes takes."""
        given = self.cleaned_data
        limit: Decimal | None = given["limit"]
        return {
            "key_name": given["name"],
            "limit_nano": None if limit is None else int(limit * NANO),
            "limit_reset": given["limit_reset"],
        }


class ProviderKeyForm(forms.Form):
    """The account's own key at a provider."""

    provider = forms.ChoiceField(label="Provider")
    name = forms.CharField(required=False, max_length=255, label="Name")
    key = forms.CharField(
        max_length=16_000, label="Key", widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="As the provider gave it to you; a credential of several fields as a JSON object.",
    )  # fmt: skip
    order = forms.ChoiceField(
        choices=[("before", "Before the capacity that all share"), ("after", "After it")], label="Used"
    )
    allowed_models = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2}), label="Only for models",
        help_text="One a line: publisher/model or publisher/*. Empty: all.",
    )  # fmt: skip

    def __init__(self, *args: Any, providers: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["provider"]).choices = providers
