"""The identity of the live site among those of a backup directory: found, required before a write, adopted."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.artifact.catalog import NAME_THE_KEY, NEW_KEY
from korrigo_backup.artifact.identity import DatabasePlace, FoundIdentity, IdentityMatch, Owner, is_place_of, stand
from korrigo_backup.artifact.kinds import KINDS, Origin
from korrigo_backup.core.finding import Finding, error, warning
from korrigo_backup.errors import Cancelled, NotFound, Refused
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.unused import OF_MIGRATE, tables_in_use
from korrigo_backup.run.journal import recorded
from korrigo_backup.run.step import silent
from korrigo_backup.system.files import explained
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.identity import Identity, SiteRecord
    from korrigo_backup.media.port import Tree
    from korrigo_backup.site.site import Site

_ADOPT = "korrigo-backup adopt"


@phase("identity")
def identified(site: Site, catalog: Catalog, system: str | None) -> Site:
    """Return the site with its standing among the sites of the directory; `system` identifies the cluster."""
    owner = Owner(site.name, site.environment, site.postgres.database, system)
    return replace(site, standing=stand(owner, catalog.site_records.sites(catalog.artifacts())))


@phase("identity")
def require_own(site: Site, catalog: Catalog, *, exists: bool = True) -> None:
    """Raise Refused unless this site may write into the directory; note its record there when its database `exists`.

    Refused where the backups of a site that is configured alike are of another database cluster, and where none of
    this site's backups is signed with a key that is here.
    """
    catalog.require_key()
    standing = site.standing
    if standing is None:
        return
    if standing.known is IdentityMatch.MOVED:
        there = next(one for one in standing.others if _is_alike(one, standing.owner))
        raise Refused(
            f"{catalog.directory} holds backups of {_named(there)}, made of another database cluster than that at"
            f" {site.postgres.access.description}",
            hint=f"if this cluster replaces the former cluster (a new server, an upgrade): {_ADOPT};"
            " if it is another site: give it a BACKUP_DIR, or a [site] name, of its own",
        )
    if exists:
        catalog.site_records.note(standing.record.at(standing.owner.place))


def place_findings(
    site: Site, artifact: Artifact, *, into_other_site: bool, dump: Artifact | None = None
) -> list[Finding]:
    """Return a finding if an artifact is of another site, or takes the place of a lost database.

    If the live database is unused or missing, no data can be lost: a backup of the same name is restored into it, and
    the finding names its origin. The same holds if `dump`, the dump of the artifact, holds every live row too: those
    rows were made by data migrations. An error otherwise, unless `into_other_site` confirms it.
    """
    standing, theirs = site.standing, _identity(artifact)
    if standing is None or theirs is None:
        return []
    if theirs.id in standing.record.ids or _is_at_home(theirs, standing):
        return []
    what = f"this is a backup of database {theirs.database}{_cluster(theirs, standing)}"
    if into_other_site:
        return [warning("site.other", f"{what}: its content replaces that of {standing.owner.database}")]
    names = Databases(site.postgres).names()
    neighbour = (
        theirs.database in names
        and theirs.database != standing.owner.database
        and theirs.system in {None, standing.owner.system}
    )
    if not neighbour and _loses_nothing(site, artifact, dump):
        return [_moved(what, standing)] if theirs.id else []
    return [error("site.other", f"{what}, and this site is database {standing.owner.database} at"
                  f" {site.postgres.access.description}",
                  f"if this database replaces the former database: {_ADOPT}; to restore another site's data into it:"
                  " add --into-other-site; else check --config and BACKUP_DIR")]  # fmt: skip


def _loses_nothing(site: Site, artifact: Artifact, dump: Artifact | None) -> bool:
    """Return whether every row of the live database but those of migrations is in `dump` as well.

    A copy of the site has rows in about as many tables as the dump; in a new database migrations have filled few. Where
    the media alone are restored, they must not be there yet either.
    """
    if KINDS[artifact.kind].has_files_alone and site.media and _has_files(site.media):
        return False
    used = tables_in_use(site.postgres, site.postgres.database)
    if not used:
        return used is not None
    if dump is None or 2 * len(used) > _filled(dump):
        return False
    from korrigo_backup.compare.compare import Present, compare_artifact  # noqa: PLC0415 - no backup needs it

    differing = compare_artifact(Present(site, tables=used), dump).tables
    return all(one.rows is not None and one.rows.only_removed for one in differing)


def _has_files(media: Tree) -> bool:
    with explained(f"read the media in {media.root}"):
        try:
            return any(entry.is_file for entry in media.walk())
        except FileNotFoundError:
            return False


def _filled(dump: Artifact) -> int:
    """Return how many tables have rows in a dump, besides those that `migrate` fills."""
    proof = dump.manifest.database if dump.manifest else None
    tables = proof.tables if proof else ()
    return sum(table.rows > 0 and table.name.rpartition(".")[2] not in OF_MIGRATE for table in tables)


def _moved(what: str, standing: FoundIdentity) -> Finding:
    here = f"database {standing.owner.database} here holds no more than the backup, and takes its place"
    return warning("site.moved", f"{what}; {here}", "after the restore this site continues the backups of that site")


def moved_in(site: Site, catalog: Catalog, artifact: Artifact) -> Site:
    """Return the site with the identity of `artifact`, which was restored into its empty database; note it."""
    standing, theirs = site.standing, _identity(artifact)
    if standing is None or theirs is None:
        return site
    record = next((one for one in standing.others if theirs.id in one.ids), None)
    if record is None:
        return site
    catalog.require_key()
    return replace(site, standing=_adopted(standing, record, catalog))


def renamed(site: Site, catalog: Catalog, names: Collection[str]) -> Iterator[Finding]:
    """Yield a warning where a site without backups of its own may be another site here, whose database was renamed.

    `names` are the databases of the server. A backup under the new name is good and complete; the older backups are no
    longer found by `latest`, and no policy removes them.
    """
    standing = site.standing
    if standing is None or standing.known is not IdentityMatch.NEW:
        return
    if gone := _gone(standing, names):
        yield warning("site.renamed", f"{catalog.directory} holds backups of database {', '.join(gone)}, which is no"
                      f" longer on this server; database {standing.owner.database} begins as a new site",
                      f"if the database was renamed: {_or(gone)}; if it is another site: leave it")  # fmt: skip


def former_names(site: Site, names: Collection[str]) -> str:
    """Return in words, with the commands, which databases this database may have taken the place of; "" for none."""
    gone = _gone(site.standing, names) if site.standing else []
    return f"backups of a database that is no longer on this server are adopted by: {_or(gone)}" if gone else ""


def _gone(standing: FoundIdentity, names: Collection[str]) -> list[str]:
    """Return the databases of other sites of this name that were on this server and are not any more."""
    owner, gone = standing.owner, dict[str, None]()
    for record in standing.others:
        if not _is_named(record, owner) or any(place.database in names for place in record.places):
            continue
        here = [place.database for place in record.places if place.system in {None, owner.system}]
        gone |= dict.fromkeys(here[-1:])
    return list(gone)


def _or(databases: Iterable[str]) -> str:
    return " or ".join(f"{_ADOPT} --database {quote(name)}" for name in databases)


def adoptable(site: Site, catalog: Catalog, database: str | None = None, *, new_key: bool = False) -> SiteRecord | None:
    """Return the record that this site would take over, None when the site is known already.

    `database` chooses among several. Raises NotFound when there is none, Refused when there are several, and, unless
    the site goes on with a `new_key`, when their backups are signed with a key that is not here.
    """
    standing = site.standing
    if standing is None or (standing.known is IdentityMatch.OWN and database is None):
        return None
    alike = [one for one in standing.others if _is_alike(one, standing.owner, database)]
    if not alike and database is None:
        alike = [one for one in standing.others if _is_named(one, standing.owner)]
    if not alike:
        _require_key(catalog, {database} if database else set())
        raise NotFound(
            f"{catalog.directory} holds no backups of {f'database {database}' if database else 'another database'}"
            f" under the name {standing.owner.site} {standing.owner.environment}",
            hint="korrigo-backup list shows the backups; [site] name and environment must be those of the backups",
        )
    if len(alike) > 1:
        raise Refused(
            f"{catalog.directory} holds backups of several sites: {'; '.join(map(_named, alike))}",
            hint=f"name the former database that this database replaces: {_or(_last(alike))}",
        )
    if not new_key:
        _require_key(catalog, {place.database for place in alike[0].places})
    return alike[0]


def _require_key(catalog: Catalog, databases: Collection[str]) -> None:
    """Raise Refused where the backups of these databases, or of any, are signed with a key that is not here."""
    if words := catalog.signed_elsewhere(databases):
        hint = f"{NAME_THE_KEY}; if that key is lost: {NEW_KEY}, and restore them with --allow-unsigned"
        raise Refused(words, hint=hint)


def adopt(site: Site, catalog: Catalog, record: SiteRecord | None, *, confirm: Callable[[], bool]) -> None:
    """Let this site go on with the backups of `record`; sign its record with the key that is here."""
    standing = site.standing
    if standing is None:
        return
    if not confirm():
        raise Cancelled("Cancelled: no site was adopted", hint="to continue, run it again and answer yes")
    with recorded(catalog.directory, site, "adopt", standing.owner.database, listener=silent):
        if record:
            _adopted(standing, record, catalog)
        else:
            catalog.site_records.note(standing.record.at(standing.owner.place))


def _adopted(standing: FoundIdentity, record: SiteRecord, catalog: Catalog) -> FoundIdentity:
    former = standing.record.ids if any(one == standing.owner.place for one in standing.record.places) else frozenset()
    taken = record.at(standing.owner.place, former)
    catalog.site_records.note(taken)
    return replace(standing, known=IdentityMatch.OWN, record=taken)


def _identity(artifact: Artifact) -> Identity | None:
    """Return the identity of an artifact; of an older artifact only the database of a routine dump is known."""
    from korrigo_backup.artifact.identity import Identity  # noqa: PLC0415 - a value is made of it here alone

    head = artifact.header
    if head is None:
        return None
    if head.identity:
        return head.identity
    return Identity("", head.database) if head.database and head.origin is Origin.ROUTINE else None


def _is_at_home(theirs: Identity, standing: FoundIdentity) -> bool:
    owner = standing.owner
    if not theirs.id:
        return is_place_of(DatabasePlace(theirs.database, theirs.system), standing)
    return theirs.database == owner.database and theirs.system == owner.system


def _is_named(record: SiteRecord, owner: Owner) -> bool:
    return (record.site, record.environment) == (owner.site, owner.environment)


def _is_alike(record: SiteRecord, owner: Owner, database: str | None = None) -> bool:
    return _is_named(record, owner) and any(one.database == (database or owner.database) for one in record.places)


def _named(record: SiteRecord) -> str:
    databases = ", ".join(dict.fromkeys(place.database for place in record.places))
    return f"{record.site} {record.environment}, database {databases}"


def _last(records: Iterable[SiteRecord]) -> list[str]:
    """Return the database that each site had last."""
    return [record.places[-1].database for record in records if record.places]


def _cluster(theirs: Identity, standing: FoundIdentity) -> str:
    return "" if theirs.system in {None, standing.owner.system} else " of another database cluster"
