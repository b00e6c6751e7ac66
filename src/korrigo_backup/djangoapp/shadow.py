"""The system check korrigo_backup.E001: `manage.py backup` and `restore` are this app's, and no other's."""

from __future__ import annotations

from typing import Any

from django.core.checks import Error
from django.core.management import get_commands

from korrigo_backup.djangoapp.location import OURS

NAME = "korrigo_backup.djangoapp"


def check_commands() -> list[Any]:
    """Return an error for each of our commands that is another app's, because that stands before ours."""
    found = get_commands()
    return [
        Error(
            f"manage.py {name} is the command of {found[name]}, not of korrigo-backup: shadowed",
            hint=f'put "{NAME}" first in INSTALLED_APPS: Django runs the command of the first app that has it',
            id="korrigo_backup.E001",
        )
        for name in OURS
        if found[name] != NAME
    ]
