"""Rules of the books that the database itself keeps: append-only on both, zero-sum on PostgreSQL."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

APPEND_ONLY = ("billing_transaction", "billing_entry", "billing_charge")

_POSTGRES_INSTALL = """
CREATE FUNCTION billing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the ledger is append-only: % on %', TG_OP, TG_TABLE_NAME; END $$;

CREATE FUNCTION billing_zero_sum() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT COALESCE(SUM(amount_nano), 0) FROM billing_entry WHERE transaction_id = NEW.transaction_id) <> 0 THEN
    RAISE EXCEPTION 'transaction % does not add up to zero', NEW.transaction_id;
  END IF;
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_entry_zero_sum AFTER INSERT ON billing_entry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_zero_sum();
"""
_POSTGRES_REMOVE = """
DROP TRIGGER IF EXISTS billing_entry_zero_sum ON billing_entry;
DROP FUNCTION IF EXISTS billing_zero_sum();
DROP FUNCTION IF EXISTS billing_refuse_change() CASCADE;
"""


def install(connection: BaseDatabaseWrapper) -> None:
    """Create the triggers."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRES_INSTALL)
            for table in APPEND_ONLY:
                cursor.execute(
                    f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                    "FOR EACH ROW EXECUTE FUNCTION billing_refuse_change()"
                )
        else:
            for table in APPEND_ONLY:
                for change in ("UPDATE", "DELETE"):
                    cursor.execute(
                        f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                        f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: {change} on {table}'); END"
                    )


def remove(connection: BaseDatabaseWrapper) -> None:
    """Drop the triggers (a migration backwards, or a test that empties its tables)."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRES_REMOVE)
        else:
            for table in APPEND_ONLY:
                for change in ("update", "delete"):
                    cursor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{change}")


def forwards(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """The migration's way in."""
    install(editor.connection)


def backwards(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """The migration's way out."""
    remove(editor.connection)
