"""The books' tables as 0001 to 0019 leave them, and their triggers, for a database that has none of those yet.

Two steps between moved rows of before (grants, hours of usage); an empty database has none.
"""

import billing.triggers
import django.db.models.deletion
import django.db.models.expressions
import marketplace.lib.ids
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('billing', '0001_initial'), ('billing', '0002_initial'), ('billing', '0003_append_only'), ('billing', '0004_the_whole_ledger'), ('billing', '0005_allowances'), ('billing', '0006_payments'), ('billing', '0007_thaws'), ('billing', '0008_tax'), ('billing', '0009_daybook'), ('billing', '0010_payouts'), ('billing', '0011_paid_invoices'), ('billing', '0012_usage_by_member'), ('billing', '0013_metered'), ('billing', '0014_meters'), ('billing', '0015_alerts'), ('billing', '0016_subscription_card'), ('billing', '0017_terms_plural'), ('billing', '0018_invoices_after_payment'), ('billing', '0019_secrets_and_dropped_rows')]

    initial = True

    dependencies = [
        ('marketplace', '0001_squashed_0015_gpu_memory'),
    ]

    operations = [
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('period_start', models.DateTimeField()),
                ('spent_nano', models.BigIntegerField(default=0)),
                ('held_nano', models.BigIntegerField(default=0)),
                ('key', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='budgets', to='marketplace.apikey')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('key', 'period_start'), name='budget_once'), models.CheckConstraint(condition=models.Q(('held_nano__gte', 0)), name='budget_held_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='LedgerAccount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('wallet', 'Wallet'), ('provider_payable', 'Provider Payable'), ('publisher_payable', 'Publisher Payable'), ('platform_revenue', 'Platform Revenue'), ('promotional_expense', 'Promotional Expense'), ('stripe_clearing', 'Stripe Clearing'), ('refunds_clearing', 'Refunds Clearing'), ('payouts_clearing', 'Payouts Clearing'), ('bank', 'Bank'), ('fees', 'Fees'), ('tax_payable', 'Tax Payable'), ('bad_debt', 'Bad Debt'), ('settlement_loss', 'Settlement Loss')], max_length=24)),
                ('account', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='ledger_accounts', to='marketplace.account')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('kind', 'account'), name='ledger_account_once'), models.UniqueConstraint(condition=models.Q(('account', None)), fields=('kind',), name='house_account_once')],
            },
        ),
        migrations.CreateModel(
            name='Transaction',
            fields=[
                ('id', models.UUIDField(default=marketplace.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=24)),
                ('reference', models.CharField(max_length=100)),
                ('memo', models.CharField(blank=True, max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('kind', 'reference'), name='transaction_once')],
            },
        ),
        migrations.CreateModel(
            name='Charge',
            fields=[
                ('id', models.UUIDField(default=marketplace.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=16)),
                ('reference', models.CharField(max_length=64)),
                ('amount_nano', models.BigIntegerField()),
                ('bad_debt_nano', models.BigIntegerField(default=0)),
                ('quantities', models.JSONField()),
                ('prices', models.JSONField()),
                ('shares', models.JSONField()),
                ('labels', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='charges', to='marketplace.account')),
                ('key', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='charges', to='marketplace.apikey')),
                ('transaction', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='charge', to='billing.transaction')),
                ('corrects', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='corrections', to='billing.charge')),
            ],
            options={
                'indexes': [models.Index(fields=['account', '-created_at', '-id'], name='charges_of_account'), models.Index(fields=['key', '-created_at', '-id'], name='charges_of_key'), models.Index(fields=['created_at'], name='charges_by_time')],
                'constraints': [models.UniqueConstraint(fields=('kind', 'reference'), name='charge_once')],
            },
        ),
        migrations.CreateModel(
            name='Entry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount_nano', models.BigIntegerField()),
                ('ledger_account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.ledgeraccount')),
                ('transaction', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.transaction')),
            ],
            options={
                'indexes': [models.Index(fields=['ledger_account', '-id'], name='entries_of_ledger_account')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount_nano', 0), _negated=True), name='entry_not_zero')],
            },
        ),
        migrations.CreateModel(
            name='Wallet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('balance_nano', models.BigIntegerField(default=0)),
                ('held_nano', models.BigIntegerField(default=0)),
                ('is_frozen', models.BooleanField(default=False)),
                ('account', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='wallet', to='marketplace.account')),
                ('credit_limit_nano', models.BigIntegerField(default=0)),
                ('frozen_because', models.CharField(blank=True, max_length=200)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('held_nano__gte', 0)), name='held_not_negative'), models.CheckConstraint(condition=models.Q(('credit_limit_nano__gte', 0)), name='credit_limit_not_negative'), models.CheckConstraint(condition=models.Q(('is_frozen', True), ('balance_nano__gte', django.db.models.expressions.CombinedExpression(models.F('held_nano'), '-', models.F('credit_limit_nano'))), _connector='OR'), name='never_overdrawn')],
            },
        ),
        migrations.CreateModel(
            name='Balance',
            fields=[
                ('ledger_account', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, serialize=False, to='billing.ledgeraccount')),
                ('amount_nano', models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='Cursor',
            fields=[
                ('name', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('position', models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='UsageHour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hour', models.DateTimeField()),
                ('kind', models.CharField(max_length=16)),
                ('model', models.CharField(blank=True, max_length=200)),
                ('provider', models.CharField(blank=True, max_length=100)),
                ('requests', models.BigIntegerField()),
                ('amount_nano', models.BigIntegerField()),
                ('quantities', models.JSONField(default=dict)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.account')),
                ('key', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.apikey')),
                ('completion_tokens', models.BigIntegerField(default=0)),
                ('endpoint_number', models.BigIntegerField(null=True)),
                ('prompt_tokens', models.BigIntegerField(default=0)),
                ('reasoning_tokens', models.BigIntegerField(default=0)),
                ('upstream_nano', models.BigIntegerField(default=0)),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['account', 'hour'], name='usage_of_account'), models.Index(fields=['key', 'hour'], name='usage_of_key')],
            },
        ),
        migrations.CreateModel(
            name='Allowance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('period_start', models.DateTimeField()),
                ('spent_nano', models.BigIntegerField(default=0)),
                ('held_nano', models.BigIntegerField(default=0)),
                ('guardrail', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='allowances', to='marketplace.guardrail')),
                ('key', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.apikey')),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('user', None)), fields=('guardrail', 'key', 'period_start'), name='allowance_of_key_once'), models.UniqueConstraint(condition=models.Q(('key', None)), fields=('guardrail', 'user', 'period_start'), name='allowance_of_user_once'), models.CheckConstraint(condition=models.Q(models.Q(('key', None), ('user__isnull', False)), models.Q(('key__isnull', False), ('user', None)), _connector='OR'), name='allowance_of_one'), models.CheckConstraint(condition=models.Q(('held_nano__gte', 0)), name='allowance_held_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('id', models.UUIDField(default=marketplace.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=16)),
                ('reference', models.CharField(max_length=64)),
                ('amount_nano', models.BigIntegerField()),
                ('state', models.CharField(choices=[('open', 'Open'), ('settled', 'Settled'), ('released', 'Released')], default='open', max_length=8)),
                ('expires_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('budget', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='billing.budget')),
                ('key', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='marketplace.apikey')),
                ('wallet', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='billing.wallet')),
                ('carved_nano', models.BigIntegerField(default=0)),
                ('parent', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='billing.hold')),
                ('returned_nano', models.BigIntegerField(default=0)),
                ('allowances', models.ManyToManyField(related_name='holds', to='billing.allowance')),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state', 'open')), fields=['expires_at'], name='open_holds_by_expiry'), models.Index(condition=models.Q(('state', 'open')), fields=['wallet'], name='open_holds_by_wallet')],
                'constraints': [models.UniqueConstraint(fields=('kind', 'reference'), name='hold_once'), models.CheckConstraint(condition=models.Q(('amount_nano__gte', 0), ('carved_nano__gte', 0)), name='hold_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='AutoTopUp',
            fields=[
                ('account', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='auto_topup', serialize=False, to='marketplace.account')),
                ('is_enabled', models.BooleanField(default=False)),
                ('threshold_nano', models.BigIntegerField()),
                ('amount_cents', models.BigIntegerField()),
                ('monthly_cap_cents', models.BigIntegerField()),
                ('failures', models.PositiveSmallIntegerField(default=0)),
                ('try_after', models.DateTimeField(null=True)),
                ('stopped_because', models.CharField(blank=True, max_length=300)),
            ],
        ),
        migrations.CreateModel(
            name='Customer',
            fields=[
                ('account', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='customer', serialize=False, to='marketplace.account')),
                ('customer_id', models.CharField(max_length=64, unique=True)),
                ('payment_method_id', models.CharField(blank=True, max_length=64)),
                ('card', models.CharField(blank=True, max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='InboxEvent',
            fields=[
                ('id', models.CharField(max_length=100, primary_key=True, serialize=False)),
                ('type', models.CharField(max_length=100)),
                ('object_id', models.CharField(blank=True, max_length=100)),
                ('payload', models.JSONField()),
                ('is_done', models.BooleanField(default=False)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('error', models.CharField(blank=True, max_length=300)),
                ('received_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('is_done', False)), fields=['received_at'], name='events_to_be_done')],
            },
        ),
        migrations.CreateModel(
            name='TopUp',
            fields=[
                ('id', models.UUIDField(default=marketplace.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('amount_cents', models.BigIntegerField()),
                ('fee_cents', models.BigIntegerField(default=0)),
                ('is_automatic', models.BooleanField(default=False)),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('action_required', "waits for the bank's confirmation"), ('paid', 'Paid'), ('failed', 'Failed'), ('canceled', 'Canceled')], default='pending', max_length=16)),
                ('session_id', models.CharField(blank=True, max_length=100)),
                ('payment_intent_id', models.CharField(max_length=64, null=True, unique=True)),
                ('receipt_url', models.URLField(blank=True, max_length=500)),
                ('error', models.CharField(blank=True, max_length=300)),
                ('refunded_cents', models.BigIntegerField(default=0)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='topups', to='marketplace.account')),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('refunded_tax_cents', models.BigIntegerField(default=0)),
                ('tax_calculation_id', models.CharField(blank=True, max_length=64)),
                ('tax_cents', models.BigIntegerField(default=0)),
            ],
            options={
                'indexes': [models.Index(fields=['account', '-created_at'], name='topups_of_account')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('is_automatic', True), ('state__in', ['pending', 'action_required'])), fields=('account',), name='one_automatic_topup_at_a_time'), models.CheckConstraint(condition=models.Q(('refunded_cents__gte', 0), ('refunded_cents__lte', models.F('amount_cents'))), name='never_refunded_twice'), models.CheckConstraint(condition=models.Q(('refunded_tax_cents__gte', 0), ('refunded_tax_cents__lte', models.F('tax_cents'))), name='tax_never_refunded_twice')],
            },
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reference', models.CharField(max_length=100, unique=True)),
                ('amount_nano', models.BigIntegerField()),
                ('granted_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='grants', to='marketplace.account')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('ended_at', None)), fields=['expires_at'], name='grants_to_expire')],
            },
        ),
        migrations.CreateModel(
            name='Thaw',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(max_length=300)),
                ('frozen_because', models.CharField(max_length=200)),
                ('written_off_nano', models.BigIntegerField(default=0)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='thaws', to='marketplace.account')),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['account', '-created_at'], name='thaws_of_account')],
                'constraints': [models.CheckConstraint(condition=models.Q(('written_off_nano__gte', 0)), name='written_off_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='DaybookLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('kind', models.CharField(max_length=24)),
                ('model', models.CharField(blank=True, max_length=200)),
                ('provider', models.CharField(blank=True, max_length=100)),
                ('endpoint', models.BigIntegerField(default=0)),
                ('count', models.BigIntegerField(default=0)),
                ('gross_nano', models.BigIntegerField(default=0)),
                ('amount_nano', models.BigIntegerField(default=0)),
                ('ledger_account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgeraccount')),
            ],
            options={
                'indexes': [models.Index(fields=['day'], name='daybook_by_day')],
                'constraints': [models.UniqueConstraint(fields=('ledger_account', 'day', 'kind', 'model', 'provider', 'endpoint'), name='daybook_line_once')],
            },
        ),
        migrations.CreateModel(
            name='Recipient',
            fields=[
                ('account', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='recipient', serialize=False, to='marketplace.account')),
                ('recipient_id', models.CharField(max_length=64, unique=True)),
                ('country', models.CharField(max_length=2)),
                ('is_active', models.BooleanField(default=False)),
                ('needs', models.CharField(blank=True, max_length=300)),
                ('bank_error', models.CharField(blank=True, max_length=300)),
                ('paused_because', models.CharField(blank=True, max_length=300)),
                ('try_after', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Payout',
            fields=[
                ('id', models.UUIDField(default=marketplace.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('amount_cents', models.BigIntegerField()),
                ('publisher_nano', models.BigIntegerField()),
                ('provider_nano', models.BigIntegerField()),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('paid', 'Paid'), ('failed', 'Failed')], default='pending', max_length=8)),
                ('transfer_id', models.CharField(max_length=64, null=True, unique=True)),
                ('returned_cents', models.BigIntegerField(default=0)),
                ('error', models.CharField(blank=True, max_length=300)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='payouts', to='marketplace.account')),
            ],
            options={
                'indexes': [models.Index(fields=['account', '-created_at'], name='payouts_of_account')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'pending')), fields=('account',), name='one_payout_at_a_time'), models.CheckConstraint(condition=models.Q(('amount_cents__gt', 0), ('provider_nano', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('amount_cents'), '*', models.Value(10000000)), '-', models.F('publisher_nano'))), ('publisher_nano__gte', 0)), name='payout_is_its_parts'), models.CheckConstraint(condition=models.Q(('returned_cents__gte', 0), ('returned_cents__lte', models.F('amount_cents'))), name='payout_returned_once')],
            },
        ),
        migrations.CreateModel(
            name='PaidInvoice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('side', models.CharField(choices=[('wallet', 'Wallet'), ('provider_payable', 'Provider Payable'), ('publisher_payable', 'Publisher Payable'), ('platform_revenue', 'Platform Revenue'), ('promotional_expense', 'Promotional Expense'), ('stripe_clearing', 'Stripe Clearing'), ('refunds_clearing', 'Refunds Clearing'), ('payouts_clearing', 'Payouts Clearing'), ('bank', 'Bank'), ('fees', 'Fees'), ('tax_payable', 'Tax Payable'), ('bad_debt', 'Bad Debt'), ('settlement_loss', 'Settlement Loss')], max_length=24)),
                ('provider', models.CharField(blank=True, max_length=100)),
                ('month', models.DateField()),
                ('invoice', models.CharField(max_length=100)),
                ('invoice_cents', models.BigIntegerField()),
                ('booked_nano', models.BigIntegerField()),
                ('paid_on', models.DateField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='paid_invoices', to='marketplace.account')),
                ('recorded_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('account', 'side', 'provider', 'month'), name='month_settled_once'), models.UniqueConstraint(fields=('account', 'provider', 'invoice'), name='invoice_paid_once'), models.CheckConstraint(condition=models.Q(('invoice_cents__gte', 0)), name='invoice_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='Invoice',
            fields=[
                ('id', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('number', models.CharField(blank=True, max_length=64)),
                ('state', models.CharField(choices=[('draft', 'Draft'), ('open', 'Open'), ('paid', 'Paid'), ('uncollectible', 'Uncollectible'), ('void', 'Void')], max_length=16)),
                ('usage_nano', models.BigIntegerField()),
                ('amount_cents', models.BigIntegerField()),
                ('tax_cents', models.BigIntegerField(default=0)),
                ('period_start', models.DateTimeField()),
                ('period_end', models.DateTimeField()),
                ('due_at', models.DateTimeField(null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('is_overdue', models.BooleanField(default=False)),
                ('problem', models.CharField(blank=True, max_length=300)),
                ('url', models.URLField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField()),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='invoices', to='marketplace.account')),
                ('refunded_cents', models.BigIntegerField(default=0)),
                ('refunded_tax_cents', models.BigIntegerField(default=0)),
                ('taken_nano', models.BigIntegerField(default=0)),
                ('written_off_nano', models.BigIntegerField(default=0)),
            ],
            options={
                'indexes': [models.Index(fields=['account', '-period_end'], name='invoices_of_account')],
                'constraints': [models.CheckConstraint(condition=models.Q(('refunded_cents__gte', 0), ('refunded_cents__lte', django.db.models.expressions.CombinedExpression(models.F('amount_cents'), '-', models.F('tax_cents')))), name='invoice_never_refunded_twice'), models.CheckConstraint(condition=models.Q(('refunded_tax_cents__gte', 0), ('refunded_tax_cents__lte', models.F('tax_cents'))), name='invoice_tax_never_refunded_twice'), models.CheckConstraint(condition=models.Q(('taken_nano__gte', 0), ('written_off_nano__gte', 0)), name='invoice_debt_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='Refund',
            fields=[
                ('id', models.UUIDField(default=marketplace.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('amount_cents', models.BigIntegerField()),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('succeeded', 'Succeeded'), ('failed', 'Failed')], default='pending', max_length=16)),
                ('refund_id', models.CharField(max_length=64, null=True, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('topup', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='refunds', to='billing.topup')),
                ('fee_cents', models.BigIntegerField(default=0)),
                ('tax_cents', models.BigIntegerField(default=0)),
                ('invoice', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='refunds', to='billing.invoice')),
                ('rounding_nano', models.BigIntegerField(default=0)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('invoice__isnull', False), ('topup', None)), models.Q(('invoice', None), ('topup__isnull', False)), _connector='OR'), name='refund_of_one_payment')],
            },
        ),
        migrations.CreateModel(
            name='Dispute',
            fields=[
                ('id', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('amount_cents', models.BigIntegerField()),
                ('state', models.CharField(max_length=32)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('topup', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='disputes', to='billing.topup')),
                ('closed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='disputes', to='billing.thaw')),
                ('credit_cents', models.BigIntegerField(null=True)),
                ('tax_cents', models.BigIntegerField(default=0)),
                ('invoice', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='disputes', to='billing.invoice')),
                ('rounding_nano', models.BigIntegerField(default=0)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('invoice__isnull', False), ('topup', None)), models.Q(('invoice', None), ('topup__isnull', False)), _connector='OR'), name='dispute_of_one_payment')],
            },
        ),
        migrations.CreateModel(
            name='Terms',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('credit_limit_nano', models.BigIntegerField()),
                ('reason', models.CharField(max_length=300)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='terms', to='marketplace.account')),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['account', '-created_at'], name='terms_of_account')],
                'constraints': [models.CheckConstraint(condition=models.Q(('credit_limit_nano__gte', 0)), name='terms_limit_not_negative')],
                'verbose_name_plural': 'terms',
            },
        ),
        migrations.CreateModel(
            name='Meter',
            fields=[
                ('name', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('meter_id', models.CharField(max_length=64)),
                ('price_id', models.CharField(blank=True, max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('account', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='subscription', serialize=False, to='marketplace.account')),
                ('subscription_id', models.CharField(max_length=64, unique=True)),
                ('started_at', models.DateTimeField()),
                ('collected_until', models.DateTimeField()),
                ('ends_at', models.DateTimeField(null=True)),
                ('canceled_at', models.DateTimeField(null=True)),
                ('payment_method_id', models.CharField(blank=True, max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='MeterRow',
            fields=[
                ('id', models.UUIDField(default=marketplace.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('meter', models.CharField(max_length=64)),
                ('hour', models.DateTimeField()),
                ('value', models.BigIntegerField()),
                ('total_nano', models.BigIntegerField(default=0)),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('sent', 'Sent'), ('nothing', 'Nothing'), ('refused', 'Refused'), ('dropped', 'Dropped')], default='waiting', max_length=8)),
                ('error', models.CharField(blank=True, max_length=300)),
                ('first_tried_at', models.DateTimeField(null=True)),
                ('sent_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='meter_rows', to='marketplace.account')),
                ('dropped_because', models.CharField(blank=True, max_length=300)),
                ('dropped_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['hour'], name='meter_rows_to_send')],
                'constraints': [models.UniqueConstraint(fields=('account', 'meter', 'hour'), name='meter_row_once')],
            },
        ),
        migrations.CreateModel(
            name='AlertRule',
            fields=[
                ('account', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='marketplace.account')),
                ('low_balance_nano', models.BigIntegerField(null=True)),
                ('key_limits', models.BooleanField(default=True)),
                ('by_mail', models.BooleanField(default=True)),
                ('webhook_url', models.CharField(blank=True, max_length=2000)),
                ('secret', models.TextField(blank=True)),
                ('old_secret', models.TextField(blank=True)),
                ('old_secret_until', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Alert',
            fields=[
                ('id', models.UUIDField(default=marketplace.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('low_balance', 'Low balance'), ('key_limit', 'Key limit'), ('topup_failed', 'Top-up failed'), ('topup_confirmation', 'Top-up to be confirmed'), ('invoice_refused', 'Invoice not paid'), ('invoice_overdue', 'Invoice overdue'), ('payout_sent', 'Payout sent'), ('payout_failed', 'Payout failed'), ('payout_returned', 'Payout taken back'), ('test', 'Test')], max_length=24)),
                ('crossing', models.CharField(max_length=100)),
                ('subject', models.CharField(max_length=200)),
                ('text', models.TextField()),
                ('data', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('over_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='marketplace.account')),
            ],
            options={
                'indexes': [models.Index(fields=['account', '-created_at'], name='alerts_of_account')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('over_at', None)), fields=('account', 'crossing'), name='crossing_told_once')],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('way', models.CharField(choices=[('mail', 'Mail'), ('webhook', 'Webhook')], max_length=8)),
                ('state', models.CharField(choices=[('due', 'on its way'), ('told', 'delivered'), ('given_up', 'given up')], default='due', max_length=8)),
                ('tries', models.PositiveIntegerField(default=0)),
                ('due_at', models.DateTimeField(null=True)),
                ('outcome', models.CharField(blank=True, max_length=300)),
                ('alert', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='billing.alert')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state', 'due')), fields=['due_at'], name='deliveries_due')],
                'constraints': [models.UniqueConstraint(fields=('alert', 'way'), name='alert_once_by_each_way')],
            },
        ),
        migrations.CreateModel(
            name='WriteOff',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount_nano', models.BigIntegerField()),
                ('reason', models.CharField(max_length=300)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='write_offs', to='marketplace.account')),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('invoice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='write_offs', to='billing.invoice')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('amount_nano__gt', 0)), name='write_off_of_something')],
            },
        ),
        migrations.RunPython(
            code=billing.triggers.forwards,
            reverse_code=billing.triggers.backwards,
        ),
    ]
