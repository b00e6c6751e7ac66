"""The place of files that come back among the media: rights and room, looked at before anything is changed."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.size import human
from korrigo_backup.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.media.port import Tree


def require_place(tree: Tree, paths: Sequence[str], needs: int = 0, *, otherwise: str = "") -> None:
    """Raise Refused if files cannot be put at these paths of a tree, or if there is no room for so many bytes.

    `otherwise` is another way, for the hint.
    """
    way = f"; or {otherwise}" if otherwise else ""
    try:
        tree.require_writable(paths)
    except Refused as problem:
        raise Refused(problem.message, hint=f"{problem.hint}{way}", id_=problem.id) from None
    if (free := tree.free()) < needs:
        raise Refused(
            f"media tree {tree.root}: {human(free)} free, {human(needs)} needed",
            hint=f"make room (df -h {quote(str(tree.root))}){way or '; or name fewer files'}",
            id_="disk.full",
        )
