"""The forms of the floor's pages: they read and check; services do."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from django import forms

from marketplace.lib.money import NANO
from marketplace.models import Account, Member, User
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
