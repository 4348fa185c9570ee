"""Hours by member and endpoint, with tokens: the old sums go, and the worker closes the hours again."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def forget(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Hours are derived: without them and their cursor, readers sum the charges until they are closed again."""
    apps.get_model("billing", "UsageHour").objects.all().delete()
    apps.get_model("billing", "Cursor").objects.filter(name="usage_hours").delete()


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0011_paid_invoices'),
        ('marketplace', '0010_price_watches'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(forget, migrations.RunPython.noop),
        migrations.AddField(
            model_name='hold',
            name='user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='usagehour',
            name='completion_tokens',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='usagehour',
            name='endpoint_number',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='usagehour',
            name='prompt_tokens',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='usagehour',
            name='reasoning_tokens',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='usagehour',
            name='upstream_nano',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='usagehour',
            name='user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='usagehour',
            index=models.Index(fields=['key', 'hour'], name='usage_of_key'),
        ),
    ]
