"""The description of this site, from its code and settings alone: the database is not asked."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import get_commands
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from korrigo_backup import __version__
from korrigo_backup.core.site_description import AppMigrations, DatabaseName, Description, TableName
from korrigo_backup.djangoapp.fixture.outside import other_databases
from korrigo_backup.djangoapp.fixture.path_columns import configured_columns, file_columns, models_of, table_of
from korrigo_backup.djangoapp.location import OURS
from korrigo_backup.djangoapp.probe.relations import relations_of
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.system.run import Command, run

REVISION = "KORRIGO_BACKUP_REVISION"
"""Setting, or variable of the environment: the revision of the code, if there is no git work tree."""

_GIT_SECONDS = 10.0


def describe(alias: str) -> Description:
    """Return the description by code and settings; ImproperlyConfigured if they contradict each other."""
    columns, elsewhere = file_columns(alias)
    return Description(
        django=django.get_version(),
        python=platform.python_version(),
        revision=_revision(),
        database=_database(alias),
        media_root=os.path.realpath(settings.MEDIA_ROOT) if settings.MEDIA_ROOT else "",
        users=table_of(get_user_model()) if apps.is_installed("django.contrib.auth") else TableName(""),
        columns=(*columns, *configured_columns(alias)),
        elsewhere=elsewhere,
        migrations=_migrations(),
        tables={model._meta.label_lower: table_of(model) for model in models_of(alias)},  # noqa: SLF001
        others=tuple(one.name for one in other_databases(alias)),
        commands={name: get_commands()[name] for name in OURS},
        version=__version__,
        stages=True,
        relations=relations_of(alias),
        media_url=urlsplit(str(settings.MEDIA_URL or "")).path,
    )


def _database(alias: str) -> DatabaseName:
    chosen = connections[alias].settings_dict
    return DatabaseName(connections[alias].vendor, str(chosen.get("NAME") or ""), str(chosen.get("HOST") or ""))


def _migrations() -> tuple[AppMigrations, ...]:
    """Return the migrations on disk, read without a connection: as if none were applied."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    leaves = loader.graph.leaf_nodes()
    by_app: dict[str, dict[str, Any]] = {}
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        by_app.setdefault(app, {})[name] = migration
    return tuple(
        AppMigrations(
            app,
            tuple(found),
            tuple(name for label, name in leaves if label == app),
            {name: tuple((a, n) for a, n in m.replaces) for name, m in found.items() if m.replaces},
        )
        for app, found in by_app.items()
    )


def _revision() -> str | None:
    """Return the revision that settings or environment state, else that of the git work tree, else None."""
    stated = getattr(settings, REVISION, None) or os.environ.get(REVISION)
    if stated:
        return str(stated)
    project = Path(getattr(settings, "BASE_DIR", "."))
    try:
        done = run(Command(("git", "rev-parse", "--verify", "HEAD"), cwd=project), timeout=_GIT_SECONDS)
    except (KorrigoBackupError, OSError):
        return None  # no git here, or no such directory
    return done.stdout.decode().strip() if done.status == 0 else None
