"""manage.py check_invariants: are the books as they must be?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import invariants


class Command(BaseCommand):
    """Print each violation; the exit status is 1 when there is one."""

    help = "Check the ledger's invariants."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run all named checks."""
        violations = invariants.run()
        for violation in violations:
            self.stderr.write(f"{violation.check}: {violation.detail}")
        if violations:
            raise CommandError(f"{len(violations)} violations in {len(invariants.CHECKS)} checks.")
        self.stdout.write(f"{len(invariants.CHECKS)} checks, all true.")
