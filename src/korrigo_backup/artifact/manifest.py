"""The manifest of an artifact: its description of itself.

The first five keys are the runbook's (4.3) and keep their meaning; a manifest that has only those was written
by Korrigo's former command and has `format` 0. Times are UTC, sizes bytes, checksums lower-case hexadecimal.

One file: the format of a manifest, readable from top to bottom.
"""

from __future__ import annotations

import hashlib
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes

import msgspec
from msgspec.structs import replace

from korrigo_backup.artifact.consistency import Consistency  # noqa: TC001 - msgspec reads it when it decodes
from korrigo_backup.artifact.identity import Identity  # noqa: TC001 - the same
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.left_out import LeftOut  # noqa: TC001 - msgspec reads it when it decodes
from korrigo_backup.artifact.properties import Properties, RoleProof  # noqa: TC001 - msgspec reads them when it decodes
from korrigo_backup.core.json_lines import lay_out
from korrigo_backup.core.moment import require_moment
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.errors import KorrigoBackupError, ProofFailed

FORMAT = 1
LARGEST = 512 * 1024 * 1024
"""Bytes; a manifest names tables and objects of a database, not rows: 24,000 Django tables take 60 MB."""


class Member(msgspec.Struct, frozen=True, gc=False):
    """A file of the artifact: plain name (no directory), size in bytes, SHA-256."""

    name: str
    size: int
    sha256: str


class TableProof(msgspec.Struct, frozen=True, gc=False):
    """Rows of a table. `name` is schema-qualified and quoted as SQL needs it; `digest` is None if not taken.

    `generated` is the digest of the values in stored generated columns, which the server computes: it exists if the
    table has such columns, and is not part of the saved data.
    """

    name: str
    rows: int
    digest: str | None = None
    generated: str | msgspec.UnsetType = msgspec.UNSET

    def same_rows(self, other: TableProof) -> bool:
        """Return whether both hold the same saved rows, as far as both are known."""
        return (self.rows, self.digest) == (other.rows, other.digest)


class SequenceProof(msgspec.Struct, frozen=True, gc=False):
    """Position of a sequence, named like a table."""

    name: str
    last_value: int
    is_called: bool


class SchemaObject(msgspec.Struct, frozen=True, gc=False):
    """An object of a schema: its kind, its qualified name, the MD5 of its definition (a fingerprint)."""

    kind: str
    name: str
    digest: str


class LargeObjectsProof(msgspec.Struct, frozen=True):
    """All large objects of a database together; `digest` is None when not taken."""

    count: int
    digest: str | None = None


class DatabaseProof(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a database in one snapshot. `digest` names the rule by which table digests were made.

    `size` is in bytes on the server's disk, 0 if not known; `migrations` are Django's applied migrations as `app.name`;
    `large_objects` is None if unknown. `left_out` names objects that pg_dump leaves out, as `invalid index
    public.copy_mark`. `search_path` is that of the role in this database: its existing schemas. A dump does not hold
    the `properties`. `roles` are those that the database needs or names, `tablespaces` those of its objects; older
    manifests have none of the three.
    """

    name: str
    server_version: str
    client_version: str
    digest: str | None
    tables: tuple[TableProof, ...]
    sequences: tuple[SequenceProof, ...] = ()
    schema: tuple[SchemaObject, ...] = ()
    large_objects: LargeObjectsProof | None = None
    size: int = 0
    migrations: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    search_path: tuple[str, ...] = ()
    properties: Properties | None = None
    roles: tuple[RoleProof, ...] = ()
    tablespaces: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A fingerprint of the schema; it changes with any definition."""
        lines = sorted(f"{one.kind}\0{one.name}\0{one.digest}\n" for one in self.schema)
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)


class MediaLink(msgspec.Struct, frozen=True):
    """A symbolic link that leads out of the media tree, or to no file; `accepted` if the configuration accepts it."""

    path: str
    target: str
    accepted: bool = False


class Doubt(msgspec.Struct, frozen=True):
    """Why a media backup may be incomplete: `reference` is the backup that it was compared with.

    `reason` is `shrunk` (far fewer files than `files`, those of the reference) or `moved` (the media root is on another
    file system than `file_system`). Retention keeps the reference until a backup without doubt is made.
    """

    reason: str
    reference: str
    files: int
    file_system: str = ""


class StoreProof(msgspec.Struct, frozen=True):
    """The part of the media store in a backup: new files and their bytes, and files taken over without being read.

    `reread` counts stored files that were read to find damage; `damaged` names those whose content was not that of
    their name, and which the site does not have any more.
    """

    new_files: int = 0
    new_bytes: int = 0
    taken_over: int = 0
    reread: int = 0
    damaged: tuple[str, ...] = ()


class MediaProof(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a media tree; `members` names the file that lists each path with its SHA-256.

    `root` is the beginning of every path in the archive. `notes` names files that were left out, `unstable` files that
    went on changing while they were read. `properties` is True if owners, modes, attributes and links are in the
    archive; `owners` counts files and directories by `uid:gid`. `outside` are the symbolic links that lead out of the
    tree, `links` the targets of an archive's symbolic links by their paths: None for a listing, for more than a
    thousand, and in archives of former versions. `mounts` are the mount points below its root; `file_system` is that of
    the root. With `store` the files are in the media store, and the artifact is their listing.
    """

    files: int
    bytes: int
    members: str
    root: str
    notes: tuple[str, ...] = ()
    unstable: tuple[str, ...] = ()
    properties: bool = False
    owners: dict[str, int] = {}
    outside: tuple[MediaLink, ...] = ()
    links: dict[str, str] | None = None
    mounts: tuple[str, ...] = ()
    file_system: str = ""
    store: StoreProof | None = None


class PermissionName(msgspec.Struct, frozen=True, gc=False):
    """A permission that the site made itself, or renamed."""

    codename: str
    app: str
    model: str
    name: str


class ModelColumns(msgspec.Struct, frozen=True, gc=False):
    """The table of a model, qualified and quoted as SQL needs it, and the column of each field.

    `key` is the field whose value stands next to the fields of a fixture, "" if none does.
    """

    table: str
    key: str
    columns: dict[str, str]


class DjangoProof(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a Method 2 dump, per model label; `migrations` are the applied migrations as `app.name`.

    A sequence is named by its model and column: `exams.student.id`. `text_columns` names the columns whose values are
    PostgreSQL's own text, by label and field, with their type; None in backups of former versions, which have none.
    `referred` are models of which only those rows are in the backup that other rows refer to (sessions).
    `own_sequences` belong to no column. `left_out` names objects of the site that the backup does not hold.
    `type_extensions` names the extension of each type in `text_columns` that belongs to an extension. `tables` gives
    the table of each model by its label; backups of former versions have none.
    """

    django_version: str
    engine: str
    digest: str
    models: tuple[TableProof, ...]
    migrations: tuple[str, ...] = ()
    sequences: tuple[SequenceProof, ...] = ()
    text_columns: dict[str, dict[str, str]] | None = None
    referred: tuple[TableProof, ...] = ()
    own_sequences: tuple[SequenceProof, ...] = ()
    permissions: tuple[PermissionName, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    type_extensions: dict[str, str] = msgspec.field(default_factory=dict)
    tables: dict[str, ModelColumns] = msgspec.field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Objects of all models."""
        return sum(model.rows for model in (*self.models, *self.referred))


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest of an artifact.

    `site` and `environment` name its site, so that the backup of one site is not restored into another; `identity`
    distinguishes sites of the same name. `revision` is that of the site's code, if it is known. The `members` of a
    restore point are the manifests of its two backups, and `consistency` holds whether the files that its rows name
    exist. `doubt` is set if the media may be incomplete.
    """

    timestamp: str
    includes_media: bool
    database_backup: str | None
    media_backup: str | None
    backup_dir: str
    format: int = 0
    kind: Kind | None = None
    origin: Origin = Origin.ROUTINE
    site: str | None = None
    environment: str | None = None
    identity: Identity | None = None
    revision: str | None = None
    created: datetime | None = None
    tool: str | None = None
    seconds: float | None = None
    members: tuple[Member, ...] = ()
    database: DatabaseProof | None = None
    media: MediaProof | None = None
    django: DjangoProof | None = None
    consistency: Consistency | None = None
    doubt: Doubt | None = None

    def __post_init__(self) -> None:
        """Refuse a time that cannot be compared with others (ValueError, to a decoder ValidationError)."""
        require_moment(self.created)


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as readable JSON, one line a table or object, UTF-8, ending in a newline."""
    return lay_out(msgspec.to_builtins(manifest))


def with_normal_names(proof: DatabaseProof) -> DatabaseProof:
    """Return a proof whose tables and sequences are named as they are today: each version quotes other keywords."""
    return replace(
        proof,
        tables=tuple(replace(table, name=normal_name(table.name)) for table in proof.tables),
        sequences=tuple(replace(one, name=normal_name(one.name)) for one in proof.sequences),
    )


def require_size(raw: bytes, source: str) -> None:
    """Raise KorrigoBackupError for a manifest that is larger than any is read."""
    if len(raw) > LARGEST:
        raise KorrigoBackupError(
            f"the manifest {source} has more than {LARGEST:,} bytes: the database has too many tables for a backup",
            hint="a dump by pg_dump --schema of each schema can be restored by psql",
        )


def decode(raw: bytes, source: str) -> Manifest:
    """Return the manifest in `raw`, read from `source`.

    Raises ProofFailed when it is not JSON, lacks any of the five keys, is of a newer format, or names a file outside
    its directory (a made-up manifest must not make us read or write elsewhere).
    """
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise ProofFailed(
            f"the manifest {source} cannot be read: {problem}",
            hint="the file is damaged or no backup: use another backup (korrigo-backup list)",
        ) from None
    if manifest.format > FORMAT:
        raise ProofFailed(
            f"the manifest {source} has format {manifest.format}, this version reads up to {FORMAT}",
            hint="install the version of korrigo-backup that made it, or a newer version",
        )
    for name in _named_files(manifest):
        if not _is_plain(name):
            raise ProofFailed(
                f"the manifest {source} names {name!r}, which is not a file in the same directory",
                hint="the manifest was altered: do not use this backup",
            )
    return manifest


def _named_files(manifest: Manifest) -> list[str]:
    names = [name for name in (manifest.database_backup, manifest.media_backup) if name is not None]
    names += [member.name for member in manifest.members]
    return [*names, manifest.media.members] if manifest.media else names


def _is_plain(name: str) -> bool:
    return bool(name) and name not in {".", ".."} and not any(c in name for c in "/\\\0")
