"""The tables from whose models the model of a table inherits: their columns are columns of its objects, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.rescue.objects import plain_parts, qualified

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from korrigo_backup.core.site_description import Description


@dataclass(frozen=True)
class Ancestor:
    """A table from whose model another inherits: the columns of its key, and `own`, those of the other that hold it."""

    table: str
    key: tuple[str, ...]
    own: tuple[str, ...]


def ancestors(description: Description | None, table: str, tables: Collection[str]) -> Iterator[Ancestor]:
    """Yield the ancestors of a table among `tables`, the nearest first; none if the models are not known.

    The key of an object is the same in all of them.
    """
    names: list[tuple[str, tuple[str, ...]]] = [(table, ())]
    while names and description:
        below, own = names.pop(0)
        plain = plain_parts(below)[1]
        for one in description.relations:
            if one.parent_link and one.table.table == plain and (above := qualified(one.to, tables)):
                yield Ancestor(above, one.to_columns, own or one.columns)
                names.append((above, own or one.columns))
