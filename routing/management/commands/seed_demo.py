"""manage.py seed_demo: what a newcomer finds. On the top floor, because it touches every one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from billing.services import credits
from execution.services import hardware, showcase
from marketplace import demo
from marketplace.catalogue.form import Catalogue
from marketplace.lib import money
from marketplace.lib.errors import Unauthorized
from marketplace.models import Account, User
from marketplace.services import accounts, catalog, keys

SLUG = "demo"
CREDIT = "25.00"
CHAT_MODEL = "meta-llama/llama-3.3-70b-instruct"
PREDICTION = demo.Command(
    "A prediction on a sample image, run here",
    "curl -s {base_url}/v1/models/demo/detect-shapes/predictions \\\n"
    '  -H "Authorization: Bearer {api_key}" -H "Prefer: wait" -H "Content-Type: application/json" \\\n'
    '  -d "{\\"input\\": {\\"image\\": \\"data:image/png;base64,'
    "$(base64 < examples/detect-shapes/sample.png | tr -d '\\n')\\\"}}\"",
)


class Command(BaseCommand):
    """Idempotent: a second run changes nothing but addresses that have moved."""

    help = "Fill the database with the demonstration: hardware, catalogue, a login, a key, a hosted model."

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed, and leave for `make run` what it prints."""
        seed_hardware()
        catalog.apply(_catalogue())
        account = _demo_account()
        credits.grant(
            account_id=account.pk, amount_nano=money.parse_usd(CREDIT), reference="demo:welcome", memo="Demo credit"
        )
        demo.remember(api_key=_lasting_key(account), chat_model=CHAT_MODEL)
        self._publish_example(account)
        self.stdout.write("The demonstration is in place.")

    def _publish_example(self, account: Account) -> None:
        # The one of the command that is printed, before anybody can paste it; `seed_examples` does the others.
        folder = Path(settings.BASE_DIR) / "examples"
        [example] = [one for one in showcase.read(folder) if one.folder == "detect-shapes"]
        try:
            call_command(
                "publish",
                str(folder / example.folder),
                account=account.slug,
                name=example.folder,
                title=example.title,
                description=example.description,
                stdout=self.stdout,
            )
        except CommandError as error:
            # Without the package index the rest of the demonstration is still worth having.
            self.stderr.write(f"The example model could not be built and is left out for now:\n{error}")
        else:
            demo.remember_command(PREDICTION)


def seed_hardware() -> None:
    """The hardware classes with their prices per second."""
    hardware.apply(hardware.read(hardware.SEEDS.read_text(encoding="utf-8"), table="field"))


def _catalogue() -> Catalogue:
    """The seeds with the addresses of this installation's simulated providers."""
    text = (Path(settings.BASE_DIR) / "marketplace" / "seeds" / "catalogue.yaml").read_text(encoding="utf-8")
    seeds = catalog.read(text)
    here = demo.ports()
    providers = [
        entry.model_copy(update={"base_url": demo.base_url(entry.slug)}) if entry.slug in here else entry
        for entry in seeds.providers
    ]
    return seeds.model_copy(update={"providers": providers})


def _demo_account() -> Account:
    user = User.objects.filter(email=demo.EMAIL).first()
    if user is None:
        user = User.objects.create_user(demo.EMAIL, demo.password())
    return accounts.open_personal(user=user, slug=SLUG)


def _lasting_key(account: Account) -> str:
    """The key of the last run where it still opens, else a fresh one."""
    known = demo.api_key()
    if known:
        try:
            if keys.authenticate(known).account_id == account.pk:
                return known
        except Unauthorized:
            pass  # deleted or from another database: issue another
    _, plaintext = keys.issue(account=account, name="demo")
    return plaintext
