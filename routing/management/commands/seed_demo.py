"""manage.py seed_demo: what a newcomer finds. On the top floor, because it touches every one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from billing.services import credits
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
# Dollars per second, the field's list (facts/replicate.md section 4).
HARDWARE = (
    ("cpu", "CPU", "0.000100", {"cpus": 4, "memory_gb": 8}),
    ("gpu-t4", "Nvidia T4 GPU", "0.000225", {"gpu_memory_gb": 16, "cpus": 4, "memory_gb": 16}),
    ("gpu-l40s", "Nvidia L40S GPU", "0.000975", {"gpu_memory_gb": 48, "cpus": 10, "memory_gb": 65}),
    ("gpu-a100-large", "Nvidia A100 (80 GB) GPU", "0.001400", {"gpu_memory_gb": 80, "cpus": 10, "memory_gb": 144}),
    ("gpu-h100", "Nvidia H100 GPU", "0.001525", {"gpu_memory_gb": 80, "cpus": 13, "memory_gb": 72}),
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
        example = Path(settings.BASE_DIR) / "examples" / "detect-shapes"
        try:
            call_command(
                "publish",
                str(example),
                account=account.slug,
                name="detect-shapes",
                title="Detect shapes",
                description="Finds drawn shapes in an image and answers labelled boxes. OpenCV on a CPU.",
                stdout=self.stdout,
            )
        except CommandError as error:
            # Without the package index the rest of the demonstration is still worth having.
            self.stderr.write(f"The example model could not be built and is left out for now:\n{error}")
        else:
            demo.remember_command(PREDICTION)


def seed_hardware() -> None:
    """The hardware classes with their prices per second."""
    for position, (sku, name, per_second, facts) in enumerate(HARDWARE):
        nano = money.parse_usd(per_second)
        catalog.set_hardware(sku=sku, name=name, position=position, nano_per_second=nano, **facts)


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
