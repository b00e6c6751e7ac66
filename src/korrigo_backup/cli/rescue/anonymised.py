"""The options of `drill` for an anonymised copy, and the lines that say where the copy is and how it is used."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.anonymise.export import DUMP, MEDIA, require_new
from korrigo_backup.cli.output import say
from korrigo_backup.drill.copying import Copying
from korrigo_backup.errors import UsageError
from korrigo_backup.places.beside import BesideLive
from korrigo_backup.places.place import PlaceName, Places

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.app.build import Wired
    from korrigo_backup.drill.copying import MadeCopy
    from korrigo_backup.site.site import Site

SUGGEST = "suggest"
"""The word in the place of a file of rules: it prints a first version of such a file."""


@dataclass(frozen=True)
class AnonymiseOptions:
    """The rules of an anonymised copy, and where it goes: kept on the server, written into a directory."""

    rules: str | None
    keep: bool
    to: Path | None

    def require_fitting(self, place: PlaceName) -> None:
        """Raise UsageError for options that do not go together; Refused if the directory is there already."""
        if self.rules is None and (self.keep or self.to):
            raise UsageError(
                "--keep and --to are for an anonymised copy",
                hint="add --anonymise RULES; a whole copy stays in --place staging",
            )
        if self.rules is not None and place not in {PlaceName.BESIDE, PlaceName.STAGING}:
            raise UsageError(
                f"no anonymised copy is made in --place {quote(place)}", hint="use --place beside, or --place staging"
            )
        if self.to:
            require_new(self.to)

    def copying(self, site: Site) -> Copying | None:
        """Return how the copy is made, None without rules. Raises as `anonymiser`."""
        from korrigo_backup.app.build_anonymiser import anonymiser  # noqa: PLC0415 - only with rules

        return Copying(anonymiser(site, self.rules), self.to, self.keep) if self.rules is not None else None

    def beside(self, wired: Wired, site: Site) -> Places:
        """Return the place of such a copy: files are never loaded into the live tree, and no other place keeps it."""
        return Places(BesideLive(site, files=wired.catalog.directory, keeps=self.keep))


def say_copy(copy: MadeCopy) -> None:
    """Print where the copy is, and the command lines for it."""
    if copy.database and copy.access:
        typed = copy.access.typed
        say(f"🎭 Anonymised copy: database {copy.database}")
        say(f"   look: {typed('psql', '-d', copy.database)}")
        say(f"   dump: {typed('pg_dump', '--no-owner', '--no-privileges', '-d', copy.database)} > copy.sql")
        say(f"   remove: {typed('dropdb', copy.database)}")
    if copy.directory:
        say(f"🎭 Anonymised copy: {copy.directory}")
        say(f"   load: createdb NAME && zcat {quote(str(copy.directory / DUMP))} | psql -d NAME")
        if (copy.directory / MEDIA).is_dir():
            say(f"   files: {quote(str(copy.directory / MEDIA))}")
    if not copy.database and not copy.directory:
        say("🎭 The rules fit; the copy was removed (--keep or --to DIRECTORY keeps it)")


def document(copy: MadeCopy | None) -> dict[str, str | None] | None:
    """Return the place of a copy for a JSON document, None without one."""
    if copy is None or copy.problem:
        return None
    return {"database": copy.database or None, "directory": str(copy.directory) if copy.directory else None}
