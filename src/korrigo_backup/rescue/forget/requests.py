"""Requests to forget of the site's own code: shown, and moved into the ledger once their rows are gone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.core.paths import on_one_line
from korrigo_backup.erasure.requests import waiting_finding
from korrigo_backup.errors import NotFound, UsageError
from korrigo_backup.rescue.forget.forget import ForgetOptions, record
from korrigo_backup.rescue.forget.named_rows import named_rows
from korrigo_backup.rescue.history.files import relative
from korrigo_backup.rescue.objects import written_object
from korrigo_backup.run.step import Listener, silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.erasure.ledger import ErasureLedger
    from korrigo_backup.erasure.requests import ErasureRequest, ErasureSpool
    from korrigo_backup.site.site import Site

AT_ONCE = 1000
"""Requests that are looked at, the oldest first; the others come next time."""


@dataclass(frozen=True)
class WaitingErasure:
    """A request that waits. `problem` says why it is none, or why its row cannot be found; `live`: it still stands."""

    id: str
    request: ErasureRequest | None = None
    problem: str = ""
    live: bool = False

    @property
    def name(self) -> str:
        """The object as a person reads it: by the table, since only that is recorded."""
        return on_one_line(self.typed.replace('"', ""))

    @property
    def typed(self) -> str:
        """The object by its table, which is found without the site's Django."""
        return written_object(self.request.table, self.request.key) if self.request else ""


@dataclass
class AcceptedErasures:
    """The requests that were recorded, and those that were left, with the reason."""

    accepted: list[WaitingErasure] = field(default_factory=list)
    left: list[WaitingErasure] = field(default_factory=list)

    def findings(self) -> Iterator[Finding]:
        """Yield the finding about the requests that were left."""
        if self.left:
            yield warning(
                "erasure.left",
                f"left waiting: {counted(len(self.left), 'request')} to forget ({_why(self.left[0])})",
                "korrigo-backup forget --requested shows them all; --remove ID drops one",
            )


def waiting_erasures(spool: ErasureSpool) -> list[WaitingErasure]:
    """Return the requests that wait, the oldest first; no database is asked."""
    found = []
    for id_ in spool.pending()[:AT_ONCE]:
        try:
            found.append(WaitingErasure(id_, spool.read(id_)))
        except FileNotFoundError:
            continue
        except ValueError as problem:
            found.append(WaitingErasure(id_, problem=str(problem)))
    return found


def accept_by_night(
    site: Site, catalog: Catalog, ledger: ErasureLedger, spool: ErasureSpool, *, auto: bool, now: datetime
) -> list[Finding]:
    """Accept every request if a person has allowed it (`auto`), and return the findings about those that wait."""
    waiting = waiting_erasures(spool)
    if not waiting:
        return []
    if auto:
        return list(accept_erasures(site, catalog, ledger, spool, waiting, now=now).findings())
    return [waiting_finding(len(waiting))]


def chosen_erasures(waiting: Sequence[WaitingErasure], ids: Sequence[str]) -> list[WaitingErasure]:
    """Return the requests of some ids, or of their beginnings; NotFound for one that none or several have."""
    chosen = {}
    for id_ in ids:
        found = [one for one in waiting if id_ and one.id.startswith(id_)]
        if len(found) != 1:
            raise NotFound(
                f"{id_!r} does not name one request to forget", hint="korrigo-backup forget --requested lists them"
            )
        chosen[found[0].id] = found[0]
    return list(chosen.values())


def accept_erasures(
    site: Site,
    catalog: Catalog,
    ledger: ErasureLedger,
    spool: ErasureSpool,
    chosen: Sequence[WaitingErasure],
    *,
    now: datetime,
    dry_run: bool = False,
    listen: Listener = silent,
) -> AcceptedErasures:
    """Record requests whose rows are gone, and remove them; a row that is still live leaves its request waiting.

    A request goes after its entry is on disk, so that none is lost. Raises as `forget`.
    """
    ledger.read()
    asked = [one for one in chosen if one.request]
    done = AcceptedErasures(left=[one for one in chosen if one.request is None])
    unknown: dict[str, str] = {}
    texts = list(dict.fromkeys(one.typed for one in asked))
    named = named_rows(site, catalog, texts, unknown)
    rows = dict(zip((text for text in texts if text not in unknown), named.rows, strict=True))
    gone: dict[str, list[WaitingErasure]] = {}
    for one in asked:
        if one.request and (wrong := _wrong_path(site, one.request)):
            done.left.append(replace(one, problem=wrong))
        elif one.typed in unknown:
            done.left.append(replace(one, problem=unknown[one.typed]))
        elif rows[one.typed].name in named.live:
            done.left.append(replace(one, live=True))
        else:
            gone.setdefault(one.request.by if one.request else "", []).append(one)
    for by, requests in gone.items():
        these = replace(named, rows=tuple(rows[one.typed] for one in requests), live=())
        files = [path for one in requests if one.request for path in one.request.files]
        options = ForgetOptions(reason="asked by the site", dry_run=dry_run)
        recorded = record(site, catalog, ledger, options, these, now=now, of_rows=files, by=by, listen=listen)
        back = [one for one in requests if rows[one.typed].name in recorded.live]
        done.left += [replace(one, live=True) for one in back]
        accepted = [one for one in requests if one not in back]
        for one in accepted if not dry_run else ():
            spool.remove(one.id)
        done.accepted += accepted
    return done


def _wrong_path(site: Site, request: ErasureRequest) -> str:
    """Return why a path of a request is none below the media root, "" if all are."""
    root = str(site.media.root) if site.media else ""
    try:
        for path in request.files:
            relative(path, root)
    except UsageError as problem:
        return problem.message
    return ""


def _why(one: WaitingErasure) -> str:
    if one.live:
        return f"{one.name} is still live"
    return f"{one.name}: {one.problem}" if one.name else f"{one.id[:8]}: {one.problem}"
