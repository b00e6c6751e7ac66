"""`manage.py restore`: restore a backup of `manage.py backup`, whole or not at all (runbook 5.4)."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

from korrigo_backup.artifact import naming
from korrigo_backup.djangoapp.boundary import in_language, reported, write
from korrigo_backup.djangoapp.erasing import OPTION
from korrigo_backup.djangoapp.restore import UNDECIDED, Restore, finish_interrupted
from korrigo_backup.djangoapp.served import Host
from korrigo_backup.djangoapp.transaction.snapshot import lead_to, lift_limits
from korrigo_backup.run.narrate import narrate_django
from korrigo_backup.run.step import DjangoComplete, DjangoWarning

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from korrigo_backup.run.step import DjangoStep


class Command(BaseCommand):
    """Restore a backup made by `manage.py backup`."""

    help = (
        "Restore a backup made by `manage.py backup`. Everything is checked before the first change, and the "
        "load is a single transaction: it succeeds whole or is undone. Exit status: 0 done, 4 refused, 6 no such "
        "backup, 7 another run, 8 database unreachable, 9 proof failed, 1 another error."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the runbook's path and option."""
        parser.add_argument("backup_path", nargs="?", help="the korrigo_backup_… directory; -: the host serves it")
        parser.add_argument("--dry-run", action="store_true", help="check everything, without a change")
        parser.add_argument(
            "--allow-unsigned", action="store_true", help="restore a backup although this site did not sign it"
        )
        parser.add_argument(
            OPTION, action="store_true", help="restore although rows erased on request may come back (by hand)"
        )
        parser.add_argument(
            "--database", default=DEFAULT_DB_ALIAS, metavar="ALIAS", help="which database (default: default)"
        )
        parser.add_argument("--recover", action="store_true", help="finish or undo an interrupted restore, and stop")
        parser.add_argument("--stamp", type=_stamp, help="name the previous copy of the media by this YYYYMMDD_HHMMSS")
        parser.add_argument(
            "--into", metavar="NAME", help="load into this copy of the database, without a swap (with -)"
        )
        parser.add_argument("--verified", action="store_true", help="the host has found its signature good (with -)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Restore, or show the effect of a restore, and print the runbook's lines."""
        if options["recover"]:
            self._recover()
        elif not options["backup_path"]:
            text = "name the korrigo_backup_… directory\nhint: manage.py restore PATH"
            raise CommandError(in_language(text), returncode=2)
        elif options["backup_path"] == "-":
            self._serve(options)
        elif options["into"]:
            raise CommandError("--into is for korrigo-backup restore on the host alone", returncode=2)
        else:
            self._restore(options)

    def _restore(self, options: dict[str, Any]) -> None:
        dry_run = options["dry_run"]

        def say(step: DjangoStep) -> None:
            if text := narrate_django(step, dry_run=dry_run):
                write(self.stdout, in_language(text))

        restore = Restore(
            Path(options["backup_path"]).absolute(),
            options["database"],
            dry_run,
            say,
            options["allow_unsigned"],
            stamp=options["stamp"],
            without_ledger=options["without_ledger"],
        )
        if dry_run:
            write(self.stdout, in_language("DRY RUN MODE - No changes will be made"))
        write(self.stdout, in_language(f"Restoring from backup: {options['backup_path']}"))
        self._run(restore)
        for warning in restore.warnings:
            write(self.stderr, in_language(f"warning: {warning}"))
        write(self.stdout, in_language("Restore completed successfully"))

    def _serve(self, options: dict[str, Any]) -> None:
        """Restore the backup that the host serves; the host gets each step and each warning, and prints them."""
        host = Host(self._line)
        restore = Restore(
            host,
            options["database"],
            options["dry_run"],
            host.tell,
            options["allow_unsigned"],
            options["verified"],
            options["stamp"],
            options["into"],
        )
        with host.alive():
            self._run(restore)
        for warning in restore.warnings:
            host.tell(DjangoWarning(warning))
        host.tell(DjangoComplete())

    def _line(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def _run(self, restore: Restore) -> None:
        with reported("restore", lambda: restore.state):
            lift_limits(restore.alias)
            if restore.into:
                lead_to(restore.alias, restore.into)
            connections[restore.alias].ensure_connection()
            restore.run()

    def _recover(self) -> None:
        with reported("finish an interrupted restore", lambda: UNDECIDED):
            for alias in connections:
                lift_limits(alias)
            for line in finish_interrupted():
                write(self.stdout, in_language(line))


def _stamp(text: str) -> str:
    if not naming.is_stamp(text):
        raise ArgumentTypeError(f"{text!r} is not YYYYMMDD_HHMMSS")
    return text
