"""Hosting's tables as 0001 to 0009 leave them, for a database that has none of those yet."""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import execution.models
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('execution', '0001_initial'), ('execution', '0002_webhooks_and_streams'), ('execution', '0003_deployments'), ('execution', '0004_examples'), ('execution', '0005_uploads'), ('execution', '0006_git_sources'), ('execution', '0007_image_sources'), ('execution', '0008_trainings'), ('execution', '0009_hosts')]

    initial = True

    dependencies = [
        ('marketplace', '0001_squashed_0015_gpu_memory'),
    ]

    operations = [
        migrations.CreateModel(
            name='Build',
            fields=[
                ('lease_owner', models.CharField(blank=True, default='', max_length=100)),
                ('lease_expires_at', models.DateTimeField(blank=True, null=True)),
                ('fence', models.PositiveIntegerField(default=0)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('rung_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('id', models.CharField(default=execution.models.new_id, editable=False, max_length=26, primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('queued', 'queued'), ('building', 'building'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('canceled', 'canceled')], default='queued', max_length=16)),
                ('source_path', models.CharField(blank=True, max_length=200)),
                ('source_name', models.CharField(max_length=255)),
                ('source_sha256', models.CharField(blank=True, max_length=64)),
                ('log', models.TextField(blank=True)),
                ('error', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('completed_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='builds', to='marketplace.account')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='builds', to='marketplace.model')),
                ('version', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='builds', to='marketplace.version')),
                ('source', models.CharField(choices=[('archive', 'Archive'), ('git', 'Git'), ('image', 'Image')], default='archive', max_length=8)),
                ('source_ref', models.CharField(blank=True, default='', max_length=200)),
                ('source_revision', models.CharField(blank=True, default='', max_length=80)),
                ('source_url', models.CharField(blank=True, default='', max_length=500)),
                ('source_secret', models.TextField(blank=True, default='')),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(condition=models.Q(('status__in', ['queued', 'building'])), fields=['created_at'], name='build_open')],
            },
        ),
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('asked_by', models.CharField(blank=True, max_length=32)),
                ('route', models.CharField(max_length=100)),
                ('name', models.CharField(max_length=255)),
                ('fingerprint', models.CharField(max_length=64)),
                ('result', models.CharField(blank=True, max_length=64)),
                ('lease_expires_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='marketplace.account')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('account', 'asked_by', 'route', 'name'), name='asked_once')],
            },
        ),
        migrations.CreateModel(
            name='SigningSecret',
            fields=[
                ('account', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='marketplace.account')),
                ('sealed', models.TextField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name='Deployment',
            fields=[
                ('id', models.CharField(default=execution.models.new_id, editable=False, max_length=26, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64, validators=[django.core.validators.RegexValidator('^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$', 'Use 1 to 64 lower-case letters, digits, dots, dashes or underscores; begin and end with a letter or digit.')])),
                ('wanted', models.PositiveIntegerField(default=0)),
                ('quiet_since', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('drained_because', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deployments', to='marketplace.account')),
            ],
            options={
                'ordering': ['-created_at', '-id'],
                'constraints': [models.UniqueConstraint(fields=('account', 'name'), name='deployment_name_once')],
            },
        ),
        migrations.CreateModel(
            name='Prediction',
            fields=[
                ('lease_owner', models.CharField(blank=True, default='', max_length=100)),
                ('lease_expires_at', models.DateTimeField(blank=True, null=True)),
                ('fence', models.PositiveIntegerField(default=0)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('rung_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('id', models.CharField(default=execution.models.new_id, editable=False, max_length=26, primary_key=True, serialize=False)),
                ('source', models.CharField(choices=[('api', 'Api'), ('web', 'Web')], default='api', max_length=4)),
                ('status', models.CharField(choices=[('starting', 'starting'), ('processing', 'processing'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('canceled', 'canceled')], default='starting', max_length=16)),
                ('input', models.JSONField(default=dict)),
                ('output', models.JSONField(blank=True, null=True)),
                ('logs', models.TextField(blank=True)),
                ('error', models.TextField(blank=True, null=True)),
                ('metrics', models.JSONField(blank=True, default=dict)),
                ('data_removed', models.BooleanField(default=False)),
                ('hold_id', models.UUIDField(blank=True, null=True)),
                ('prices', models.JSONField(default=dict)),
                ('covered_ms', models.BigIntegerField(default=0)),
                ('run_ms', models.BigIntegerField(default=0)),
                ('amount_nano', models.BigIntegerField(blank=True, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('completed_at', models.DateTimeField(blank=True, null=True)),
                ('deadline', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='predictions', to='marketplace.account')),
                ('hardware', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.hardware')),
                ('key', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='marketplace.apikey')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='predictions', to='marketplace.model')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='predictions', to='marketplace.version')),
                ('revision', models.PositiveIntegerField(default=0)),
                ('deployment', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='predictions', to='execution.deployment')),
                ('example', models.CharField(blank=True, choices=[('', 'not shown'), ('shown', 'an example'), ('default', 'the default example')], default='', max_length=8)),
                ('destination', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='trainings', to='marketplace.model')),
                ('kind', models.CharField(choices=[('prediction', 'Prediction'), ('training', 'Training')], default='prediction', max_length=10)),
            ],
            options={
                'ordering': ['-created_at', '-id'],
                'indexes': [models.Index(condition=models.Q(('status__in', ['starting', 'processing'])), fields=['hardware', 'created_at'], name='prediction_open'), models.Index(condition=models.Q(('data_removed', False)), fields=['completed_at'], name='prediction_keeps_data'), models.Index(condition=models.Q(('example', ''), _negated=True), fields=['model', '-created_at'], name='prediction_example'), models.Index(fields=['account', 'kind', '-created_at', '-id'], name='run_page')],
                'constraints': [models.CheckConstraint(condition=models.Q(('run_ms__gte', 0)), name='run_time_not_negative'), models.CheckConstraint(condition=models.Q(models.Q(('completed_at', None), ('status__in', ['starting', 'processing'])), models.Q(('completed_at__isnull', False), ('status__in', ['succeeded', 'failed', 'canceled'])), _connector='OR'), name='an_end_has_a_time'), models.UniqueConstraint(condition=models.Q(('example', 'default')), fields=('model',), name='one_default_example'), models.CheckConstraint(condition=models.Q(models.Q(('destination', None), ('kind', 'prediction')), models.Q(('destination__isnull', False), ('kind', 'training')), _connector='OR'), name='a_training_has_a_destination')],
            },
        ),
        migrations.CreateModel(
            name='File',
            fields=[
                ('id', models.CharField(default=execution.models.new_id, editable=False, max_length=26, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=255)),
                ('content_type', models.CharField(max_length=255)),
                ('size', models.BigIntegerField()),
                ('sha256', models.CharField(max_length=64)),
                ('path', models.CharField(max_length=200)),
                ('metadata', models.JSONField(blank=True, default=dict)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='files', to='marketplace.account')),
                ('prediction', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='files', to='execution.prediction')),
            ],
            options={
                'ordering': ['-created_at', '-id'],
                'indexes': [models.Index(fields=['expires_at'], name='file_expiry')],
            },
        ),
        migrations.CreateModel(
            name='Webhook',
            fields=[
                ('prediction', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='webhook', serialize=False, to='execution.prediction')),
                ('url', models.CharField(max_length=2000)),
                ('events', models.JSONField(default=list)),
                ('base', models.CharField(max_length=300)),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('due', 'Due'), ('told', 'Told'), ('given_up', 'Given Up')], default='waiting', max_length=8)),
                ('tries', models.PositiveIntegerField(default=0)),
                ('due_at', models.DateTimeField(blank=True, null=True)),
                ('outcome', models.CharField(blank=True, max_length=300)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='marketplace.account')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state', 'due')), fields=['due_at'], name='webhook_due')],
            },
        ),
        migrations.CreateModel(
            name='Release',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('min_instances', models.PositiveIntegerField()),
                ('max_instances', models.PositiveIntegerField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('deployment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='releases', to='execution.deployment')),
                ('hardware', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.hardware')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='releases', to='marketplace.version')),
            ],
            options={
                'ordering': ['-number'],
                'constraints': [models.UniqueConstraint(fields=('deployment', 'number'), name='release_once'), models.CheckConstraint(condition=models.Q(('max_instances__gte', models.F('min_instances'))), name='release_bounds')],
            },
        ),
        migrations.CreateModel(
            name='WarmInstance',
            fields=[
                ('id', models.CharField(default=execution.models.new_id, editable=False, max_length=26, primary_key=True, serialize=False)),
                ('place', models.PositiveIntegerField()),
                ('worker', models.CharField(max_length=100)),
                ('beat_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('minute', models.PositiveIntegerField(default=0)),
                ('minute_began_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('hold_id', models.UUIDField(blank=True, null=True)),
                ('prices', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('ready_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_because', models.TextField(blank=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='marketplace.account')),
                ('deployment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='instances', to='execution.deployment')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='instances', to='execution.release')),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(condition=models.Q(('ended_at', None)), fields=['beat_at'], name='instance_alive')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('deployment', 'place'), name='one_instance_in_a_place')],
            },
        ),
        migrations.CreateModel(
            name='Upload',
            fields=[
                ('id', models.CharField(default=execution.models.new_id, editable=False, max_length=26, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=255)),
                ('size', models.BigIntegerField()),
                ('received', models.BigIntegerField(default=0)),
                ('parts', models.JSONField(default=list)),
                ('path', models.CharField(blank=True, default='', max_length=200)),
                ('sha256', models.CharField(blank=True, default='', max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField()),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='uploads', to='marketplace.account')),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(fields=['expires_at'], name='upload_expiry')],
                'constraints': [models.CheckConstraint(condition=models.Q(('received__lte', models.F('size'))), name='upload_not_over_its_size')],
            },
        ),
        migrations.CreateModel(
            name='Host',
            fields=[
                ('name', models.CharField(max_length=100, primary_key=True, serialize=False)),
                ('hardware', models.CharField(db_index=True, max_length=32)),
                ('queue', models.CharField(max_length=150)),
                ('beat_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('free', models.PositiveIntegerField(default=0)),
                ('idle_since', models.DateTimeField(blank=True, null=True)),
                ('instances', models.JSONField(default=dict)),
                ('stored', models.JSONField(default=list)),
            ],
            options={
                'ordering': ['name'],
            },
        ),
    ]
