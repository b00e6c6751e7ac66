"""The rules by which the site's code deletes, and its columns of paths, as an entry of the erasure ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.erasure.entry import Entry, Link, Subject, rules_hash
from korrigo_backup.rescue.objects import qualified
from korrigo_backup.site.path_columns import known_columns

if TYPE_CHECKING:
    from collections.abc import Collection

    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.core.site_description import DeclaredRelation, Description
    from korrigo_backup.site.site import Site


def rules_entry(head: Entry, key: Key, site: Site, description: Description, tables: Collection[str]) -> Entry:
    """Return the entry of the rules of a site, with the time and scope of `head`; `tables` are the live ones."""
    links = tuple(link for one in description.relations if (link := _link(one, tables)))
    known = known_columns(site, description)
    return Entry(
        time=head.time,
        scope=head.scope,
        subject=Subject.RULES,
        hash=rules_hash(key, links, known.columns, known.roots),
        key=key.id,
        links=links,
        paths=known.columns,
        roots=known.roots,
    )


def _link(one: DeclaredRelation, tables: Collection[str]) -> Link | None:
    table, to = qualified(one.table, tables), qualified(one.to, tables)
    if not table or not to:
        return None
    return Link(
        table, one.columns, to, one.to_columns, one.on_delete, one.parent_link, one.type_column, one.content_type
    )
