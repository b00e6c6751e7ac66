"""`manage.py korrigo_probe`: log in, create, change, delete and take it all back; one JSON document (runbook 5.6)."""

from __future__ import annotations

from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from korrigo_backup.djangoapp.boundary import reported
from korrigo_backup.djangoapp.probe import probe
from korrigo_backup.errors import UNCHANGED, ProofFailed


class Command(BaseCommand):
    """Try what a user of the site does, and take it back."""

    help = (
        "Create a throw-away user, log it in, change and delete it, inside a transaction that is always rolled back, "
        "and print one JSON document. No sequence is used. Exit status: 0 all works, 9 something does not."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Print what came of each try."""
        with reported("probe the site", lambda: UNCHANGED):
            found = probe()
        document = {"schema": "korrigo-backup/probe-1", **msgspec.to_builtins(found)}
        self.stdout.write(msgspec.json.encode(document).decode())
        if failed := [check.message for check in found.checks if not check.ok]:
            text = f"{failed[0]}\nhint: see the site's log\nstate: {UNCHANGED}"
            raise CommandError(text, returncode=ProofFailed.exit_code)
