"""The columns of a site that hold paths of media files: those of the configuration, and those named by its Django."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.core.site_description import Description
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.site.manage import DESCRIBE

if TYPE_CHECKING:
    from korrigo_backup.core.site_description import PathColumn
    from korrigo_backup.site.site import Site

URL_ROOT = "media"
"""Django's usual MEDIA_URL: a path that begins with it is taken as a path below the media root."""


@dataclass(frozen=True)
class KnownColumns:
    """Columns, the prefixes of their values, and the reason if the site's Django could not be asked.

    `others` names the databases of its settings other than the database that is backed up.
    """

    columns: tuple[PathColumn, ...]
    roots: tuple[str, ...]
    problem: str | None = None
    others: tuple[str, ...] = ()


def known_columns(site: Site, description: Description | None = None) -> KnownColumns:
    """Return the path columns of a site; its Django is asked unless `description` holds its answer.

    A backup does not fail if that Django does not answer: the reason is in `problem`.
    """
    problem = None
    if description is None and site.django is not None:
        try:
            description = site.django.ask(DESCRIBE, Description)
        except KorrigoBackupError as failed:
            problem = failed.message
    described = description.columns if description else ()
    configured = {(column.table, column.column) for column in site.columns}
    more = tuple(column for column in described if (column.table, column.column) not in configured)
    roots = {URL_ROOT: None, site.archive_root: None}
    if description:
        roots[description.media_root] = None
        if description.media_url.strip("/"):
            roots[description.media_url] = None
    if site.media:
        roots[str(site.media.root)] = None
    return KnownColumns((*site.columns, *more), tuple(roots), problem, description.others if description else ())
