"""`python -m korrigo_backup` is `korrigo-backup`."""

from korrigo_backup.cli.start import run

run()
