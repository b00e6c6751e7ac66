"""Write the first configuration of a site: the settings found in its directory, and those set before."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.config.load import DOTENV, OWN_DOTENV, OWN_PREFIX, load, own_variables, read_toml
from korrigo_backup.config.model import Configuration
from korrigo_backup.config.place import FILE_NAME
from korrigo_backup.config.template import render
from korrigo_backup.core.dotenv import written
from korrigo_backup.core.finding import Finding, ok, warning
from korrigo_backup.core.variables import VARIABLES
from korrigo_backup.errors import UsageError
from korrigo_backup.setup.discover import discover
from korrigo_backup.setup.discover_compose import NamedServices
from korrigo_backup.system.files import explained, fsync_directory, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.setup.discover_compose import Discovered, Values


@dataclass(frozen=True)
class ConfigurationDraft:
    """The configuration that would be written: its text, whether it contains new settings, and the findings.

    `candidates` are the possible database services if no rule decides between them.
    """

    target: Path
    text: str
    new: bool
    findings: tuple[Finding, ...]
    reached: bool
    candidates: tuple[str, ...] = ()


def draft(
    directory: Path,
    environment: Mapping[str, str],
    target: Path,
    *,
    site: str | None = None,
    named: NamedServices | None = None,
    columns: tuple[str, ...] = (),
) -> ConfigurationDraft:
    """Return the configuration for `directory`. Settings that `target` already has stay as they are.

    `site` is the site's name in the backups there, which must not change: else they would be another site's. `named`
    are the services that were typed, which win over all else. `columns` are path columns that were found; they come
    after those that are set. Raises UsageError for a Compose file or a `.env` that cannot be read.
    """
    with explained("look at the project"):
        old, findings = _set_before(directory, target)
        typed = named or NamedServices()
        found = discover(directory, environment, replace(typed, former=_former(old)))
        if typed.database and typed.database != _former(old).database:
            old = {**old, "database": _without_login(old)}
    values = _merged(_named(found, site), old)
    if old and "archive_root" not in old.get("media", {}):
        values.get("media", {}).pop("archive_root", None)  # the archives there have the default
    for key, name in (("db", typed.database), ("backend", typed.backend)):
        if name:
            values.setdefault("compose", {})[key] = name
    if columns:
        before = values.get("media", {}).get("columns", ())
        before = tuple(before) if isinstance(before, list | tuple) else ()
        values.setdefault("media", {})["columns"] = tuple(dict.fromkeys((*before, *columns)))
    text = render(values)
    noted = (*findings, *found.findings)
    reached = found.reached or (bool(old) and not found.candidates)
    return ConfigurationDraft(target, text, _content(target) != text, noted, reached, found.candidates)


def site_of(catalog: Catalog) -> str | None:
    """Return the site's name in the newest backup that has one, None if none has."""
    return next((a.header.site for a in catalog.artifacts() if a.header and a.header.site), None)


@contextmanager
def in_a_file(text: str) -> Iterator[Path]:
    """Yield a private file for a moment, with the configuration in it; it holds no secret."""
    with (
        explained("write into the directory for temporary files (TMPDIR)"),
        tempfile.TemporaryDirectory(prefix="korrigo-backup-") as place,
    ):
        path = Path(place) / FILE_NAME
        write_private(path, text.encode())
        yield path


def write(made: ConfigurationDraft, stamp: str) -> Path | None:
    """Give the configuration its place in one step; return the place of the copy of the former file.

    Raises Refused when the directory may not be written to.
    """
    with explained(f"write {made.target}"):
        fresh = made.target.with_name(f".{made.target.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        write_private(fresh, made.text.encode())
        try:
            kept = _former_file(made.target, stamp)
            fresh.replace(made.target)
        finally:
            fresh.unlink(missing_ok=True)
        fsync_directory(made.target.parent)
    return kept


def own_settings(directory: Path) -> tuple[Path, int] | None:
    """Make the file of our own settings, private, with those of `.env` that are ours; return it and their number.

    None if the file exists already. `.env` stays as it is. Raises Refused when the directory may not be written to.
    """
    path = directory / OWN_DOTENV
    if os.path.lexists(path):
        return None
    taken = own_variables(directory / DOTENV)
    unset = sorted(name for name in VARIABLES if name.startswith(OWN_PREFIX) and name not in taken)
    lines = [_OWN_HEAD, *(written(*one) for one in sorted(taken.items())), *(f"# {name}=\n" for name in unset)]
    with explained(f"write {path}"):
        write_private(path, "".join(lines).encode())
    return path, len(taken)


_OWN_HEAD = """\
# Settings of korrigo-backup, before .env and after the environment. A deployment of the site may write .env anew; this
# file is its own. Secrets may stand here: keep its mode 600, and keep it out of git.
"""


def _former_file(target: Path, stamp: str) -> Path | None:
    if not os.path.lexists(target):
        return None
    kept = target.with_name(f"{target.name}.bak-{stamp}")
    os.link(target, kept, follow_symlinks=False)
    return kept


def _set_before(directory: Path, target: Path) -> tuple[Values, list[Finding]]:
    if not target.exists():
        return {}, []
    try:
        load(directory, {}, target)
        tree = read_toml(target, required=True)
    except UsageError as problem:
        return {}, [warning("init.former", f"not taken over: {problem.message}", "see the copy that is kept")]
    count = sum(len(keys) for keys in tree.values())
    return tree, [ok("init.former", f"{target.name}: its {count} settings stay")] if count else []


def _former(old: Values) -> NamedServices:
    """Return the services that the former configuration names."""
    compose = old.get("compose", {})
    names = (compose.get("db"), compose.get("backend"))
    database, backend = (name if isinstance(name, str) else None for name in names)
    return NamedServices(database, backend)


def _without_login(old: Values) -> dict[str, object]:
    """Return the former section [database] without the name and the user, which were those of another service."""
    return {key: value for key, value in old.get("database", {}).items() if key not in ("name", "user")}


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _named(found: Discovered, site: str | None) -> Values:
    """Return the settings, with the site's name that the existing backups have."""
    if site is None:
        return found.values
    default = Configuration().site.name
    others = {key: value for key, value in found.values.get("site", {}).items() if key != "name"}
    return {**found.values, "site": others if site == default else {"name": site, **others}}


def _merged(found: Values, old: Values) -> Values:
    return {section: {**found.get(section, {}), **old.get(section, {})} for section in {**found, **old}}
