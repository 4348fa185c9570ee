"""The router's tables as 0001 to 0009 leave them, for a database that has none of those yet."""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import marketplace.lib.ids
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('routing', '0001_initial'), ('routing', '0002_generations_by_time'), ('routing', '0003_choice'), ('routing', '0004_operations'), ('routing', '0005_presets'), ('routing', '0006_own_keys'), ('routing', '0007_videos'), ('routing', '0008_endpoint_days'), ('routing', '0009_turns')]

    initial = True

    dependencies = [
        ('execution', '0001_squashed_0009_hosts'),
        ('marketplace', '0001_squashed_0015_gpu_memory'),
    ]

    operations = [
        migrations.CreateModel(
            name='Generation',
            fields=[
                ('id', models.UUIDField(default=marketplace.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('hold_id', models.UUIDField()),
                ('requested_model', models.CharField(max_length=200)),
                ('model', models.CharField(blank=True, max_length=200)),
                ('status', models.CharField(choices=[('started', 'Started'), ('streaming', 'Streaming'), ('finished', 'Finished'), ('failed', 'Failed'), ('canceled', 'Canceled'), ('swept', 'Swept'), ('waiting', 'Waiting')], default='started', max_length=12)),
                ('streamed', models.BooleanField()),
                ('session_id', models.CharField(blank=True, max_length=256)),
                ('prompt_tokens', models.BigIntegerField(default=0)),
                ('completion_tokens', models.BigIntegerField(default=0)),
                ('cached_tokens', models.BigIntegerField(default=0)),
                ('cache_write_tokens', models.BigIntegerField(default=0)),
                ('reasoning_tokens', models.BigIntegerField(default=0)),
                ('usage_source', models.CharField(blank=True, max_length=10)),
                ('cost_nano', models.BigIntegerField(default=0)),
                ('finish_reason', models.CharField(blank=True, max_length=16)),
                ('native_finish_reason', models.CharField(blank=True, max_length=64)),
                ('error_kind', models.CharField(blank=True, max_length=24)),
                ('latency_ms', models.BigIntegerField(null=True)),
                ('generation_ms', models.BigIntegerField(null=True)),
                ('input_tokens', models.BigIntegerField(default=0)),
                ('delivered_bytes', models.BigIntegerField(default=0)),
                ('prices', models.JSONField(default=dict)),
                ('costs', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('heartbeat_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('finished_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='generations', to='marketplace.account')),
                ('endpoint', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='marketplace.endpoint')),
                ('key', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='generations', to='marketplace.apikey')),
                ('provider', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='marketplace.provider')),
                ('choice', models.JSONField(default=dict)),
                ('operation', models.CharField(default='chat', max_length=20)),
                ('units', models.JSONField(default=dict)),
                ('is_byok', models.BooleanField(default=False)),
                ('list_prices', models.JSONField(default=dict)),
                ('upstream_nano', models.BigIntegerField(default=0)),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(fields=['account', '-created_at'], name='generations_of_account'), models.Index(condition=models.Q(('status__in', ('started', 'streaming'))), fields=['heartbeat_at'], name='live_generations'), models.Index(fields=['-created_at'], name='generations_by_time')],
            },
        ),
        migrations.CreateModel(
            name='Attempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField()),
                ('provider_name', models.CharField(max_length=200)),
                ('model', models.CharField(max_length=200)),
                ('error_kind', models.CharField(blank=True, max_length=24)),
                ('status_code', models.PositiveSmallIntegerField(null=True)),
                ('latency_ms', models.BigIntegerField()),
                ('endpoint', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='marketplace.endpoint')),
                ('generation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='attempts', to='routing.generation')),
                ('is_byok', models.BooleanField(default=False)),
            ],
            options={
                'ordering': ['position'],
                'constraints': [models.UniqueConstraint(fields=('generation', 'position'), name='attempt_position_once')],
            },
        ),
        migrations.CreateModel(
            name='Preset',
            fields=[
                ('id', models.UUIDField(default=marketplace.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('slug', models.CharField(max_length=64, validators=[django.core.validators.RegexValidator('^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$', 'Use 1 to 64 lower-case letters, digits, dots, dashes or underscores; begin and end with a letter or digit.')])),
                ('name', models.CharField(max_length=200)),
                ('description', models.CharField(blank=True, max_length=1000)),
                ('status', models.CharField(choices=[('active', 'Active'), ('disabled', 'Disabled'), ('archived', 'Archived')], default='active', max_length=8)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('status_updated_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='presets', to='marketplace.account')),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['slug'],
                'constraints': [models.UniqueConstraint(fields=('account', 'slug'), name='preset_slug_once')],
            },
        ),
        migrations.CreateModel(
            name='PresetVersion',
            fields=[
                ('id', models.UUIDField(default=marketplace.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField()),
                ('dialect', models.CharField(max_length=12)),
                ('config', models.JSONField()),
                ('system_prompt', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('preset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='routing.preset')),
            ],
            options={
                'ordering': ['-version'],
                'constraints': [models.UniqueConstraint(fields=('preset', 'version'), name='preset_version_once')],
            },
        ),
        migrations.CreateModel(
            name='VideoJob',
            fields=[
                ('generation', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='video_job', serialize=False, to='routing.generation')),
                ('upstream_id', models.CharField(max_length=200)),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('in_progress', 'In Progress'), ('completed', 'Completed'), ('failed', 'Failed'), ('expired', 'Expired')], default='pending', max_length=12)),
                ('error', models.CharField(blank=True, max_length=500)),
                ('due_at', models.DateTimeField()),
                ('fence', models.PositiveBigIntegerField(default=0)),
                ('deadline_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('ended_at', models.DateTimeField(null=True)),
                ('callback_url', models.CharField(blank=True, max_length=2000)),
                ('base', models.CharField(blank=True, max_length=300)),
                ('webhook_state', models.CharField(blank=True, max_length=8)),
                ('webhook_tries', models.PositiveIntegerField(default=0)),
                ('webhook_due_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.account')),
                ('file', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='execution.file')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state__in', ('pending', 'in_progress'))), fields=['due_at'], name='open_videos'), models.Index(condition=models.Q(('webhook_state', 'due')), fields=['webhook_due_at'], name='video_webhooks_due')],
            },
        ),
        migrations.CreateModel(
            name='EndpointDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('good', models.BigIntegerField(default=0)),
                ('bad', models.BigIntegerField(default=0)),
                ('limited', models.BigIntegerField(default=0)),
                ('tokens', models.BigIntegerField(default=0)),
                ('cost_nano', models.BigIntegerField(default=0)),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='marketplace.endpoint')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('endpoint', 'day'), name='endpoint_day_once')],
            },
        ),
        migrations.CreateModel(
            name='Turn',
            fields=[
                ('name', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('due_at', models.DateTimeField()),
            ],
        ),
    ]
