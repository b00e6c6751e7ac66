"""`manage.py korrigo_probe`: log in, create, change, delete and take it all back; as a JSON document (runbook 5.6)."""

from __future__ import annotations

from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from korrigo_backup.djangoapp.boundary import in_language, reported
from korrigo_backup.djangoapp.probe.describe import describe
from korrigo_backup.djangoapp.probe.probe import probe
from korrigo_backup.errors import UNCHANGED, ProofFailed

DESCRIBING = 2
"""The verbosity from which on the site is described, too. Every version of this command takes the option."""


class Command(BaseCommand):
    """Try the actions of a user of the site, and undo them."""

    help = (
        "Create a throw-away user, log it in, change and delete it, inside a transaction that is always rolled back, "
        "and print a JSON document, which from --verbosity 2 on holds that of korrigo_describe as well. "
        "No sequence is used. Exit status: 0 all works, 9 a check failed."
    )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print the result of each try; from verbosity 2 on also the output of korrigo_describe."""
        with reported("probe the site", lambda: UNCHANGED):
            found = probe()
            if options["verbosity"] >= DESCRIBING:
                found = msgspec.structs.replace(found, described=describe(DEFAULT_DB_ALIAS))
        document = {"schema": "korrigo-backup/probe-1", **msgspec.to_builtins(found)}
        self.stdout.write(msgspec.json.encode(document).decode())
        if failed := [check.message for check in found.checks if not check.ok]:
            text = f"{failed[0]}\nhint: see the site's log\nstate: {UNCHANGED}"
            raise CommandError(in_language(text), returncode=ProofFailed.exit_code)
