"""The database keeps the books append-only, and on PostgreSQL balanced."""

from django.db import migrations

from billing import triggers


class Migration(migrations.Migration):
    """Triggers; see billing/triggers.py."""

    dependencies = [("billing", "0002_initial")]

    operations = [migrations.RunPython(triggers.forwards, triggers.backwards)]
