"""Proven backup and restore for Django, PostgreSQL and media sites."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def forget(erased: Any, *, by: str = "") -> list[str]:
    """Ask the host to record an erased object, or each of a queryset, so that no restore brings it back.

    Call it in the site's own code before the deletion, in the same transaction or not: the host records the erasure
    when the rows are gone. `by` is the user who asked. The setting KORRIGO_BACKUP_ERASURE names the directory of the
    requests. Returns the ids of the requests. Raises ImproperlyConfigured without the setting, TypeError, ValueError
    for an object that is deleted already, and korrigo_backup.errors.KorrigoBackupError if the request cannot be
    written: then the site must not delete.
    """
    found: list[str] = import_module("korrigo_backup.djangoapp.forgetting").ask_to_forget(erased, by=by)
    return found
