"""The program of a container for a media tree that this machine cannot reach: `media.py`, one request, one answer.

It is sent as source text (`channel.py`), so that the container needs only Python 3.9. It ends when its client
does: a stream is cut, and a change that has not begun is not made.

One file: the requests and their answers are the protocol, which `remote/tree.py` speaks on the other side.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

from korrigo_backup.errors import KorrigoBackupError, Locked
from korrigo_backup.media.remote.frames import DATA, END, ERROR, receive, send, send_value
from korrigo_backup.media.reuse import LiveFile
from korrigo_backup.media.single_files import PutChange, PutFile, WantedFile
from korrigo_backup.media.staging import GivenProperties
from korrigo_backup.media.tree import MediaTree, Move
from korrigo_backup.system.files import CHUNK, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from korrigo_backup.media.stable import Steady
    from korrigo_backup.media.staging import LostFileProperties, Staging
    from korrigo_backup.media.walk import TreeEntry

BATCH = 200
"""Entries of a frame: few enough to be soon there, so many that frames do not count."""

PATIENCE = 20.0
"""Seconds that a change waits for another change of this tree: that of a killed run ends within moments."""

_POLL = 0.1
_BUFFER = 1024 * 1024


def main() -> None:
    """Answer the request on standard input; ends the process with status 1 if the client is gone."""
    incoming = sys.stdin.buffer
    outgoing = os.fdopen(os.dup(1), "wb", buffering=_BUFFER)
    _, data = receive(incoming)
    request = json.loads(data)
    tree = MediaTree(Path(request.pop("root")))
    try:
        _answer(tree, request, incoming, outgoing)
        send(outgoing, END)
        outgoing.flush()
    except (BrokenPipeError, EOFError):
        os._exit(1)
    except KorrigoBackupError as problem:
        _refuse(outgoing, {"kind": type(problem).__name__, "message": problem.message, "hint": problem.hint})
    except OSError as problem:
        fields = {"errno": problem.errno, "strerror": problem.strerror, "filename": _name(problem.filename)}
        _refuse(outgoing, {"kind": "os", **fields})
    except ValueError as problem:
        _refuse(outgoing, {"kind": "value", "message": str(problem)})


def _answer(tree: MediaTree, request: dict[str, Any], incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    doing = request.pop("do")
    if doing in _STREAMS:
        threading.Thread(target=_end_with, args=(incoming,), daemon=True).start()
        _STREAMS[doing](tree, outgoing)
    elif doing == "changed":
        _changed(tree, incoming, outgoing)
    elif doing == "unknown digests":
        _unknown_digests(tree, incoming, outgoing)
    elif doing == "stage":
        with _held(tree, shared=True):
            send_value(outgoing, asdict(_stage(tree, request["stamp"], incoming, outgoing)))
    elif doing in _CHANGES:
        if "move" in request:
            request["move"] = Move(**request["move"])
        with _held(tree):
            _require_client(incoming)
            send_value(outgoing, _CHANGES[doing](tree, **request))
    else:
        send_value(outgoing, _QUESTIONS[doing](tree, **request))


def described(entry: TreeEntry) -> list[object]:
    """Return an entry for sending: path, mode, size, time in nanoseconds, owner, group, its oddity, its links."""
    info = entry.info
    return [
        entry.path,
        info.st_mode,
        info.st_size,
        info.st_mtime_ns,
        info.st_uid,
        info.st_gid,
        entry.odd,
        info.st_nlink,
        info.st_ctime_ns,
        info.st_ino,
    ]


def _whole(entry: TreeEntry, size: int | None) -> list[object]:
    """Return an entry of `contents` for sending: the size of the following data, attributes, and links."""
    extended = {name: value.decode("latin-1") for name, value in entry.extended.items()}
    return [*described(entry), size, extended, entry.target, entry.leads_out, entry.same_as]


def _walk(tree: MediaTree, outgoing: IO[bytes]) -> None:
    _batches(outgoing, (described(entry) for entry in tree.walk()))


def _digests(tree: MediaTree, outgoing: IO[bytes]) -> None:
    _batches(outgoing, tree.digests())


def _opened(tree: MediaTree, outgoing: IO[bytes]) -> None:
    _batches(outgoing, tree.opened())


def _links(tree: MediaTree, outgoing: IO[bytes]) -> None:
    _batches(outgoing, tree.links())


def _contents(tree: MediaTree, outgoing: IO[bytes]) -> None:
    for entry, file in tree.contents():
        _send_entry(outgoing, entry, file)


def _send_entry(outgoing: IO[bytes], entry: TreeEntry, file: Steady | None) -> None:
    send_value(outgoing, _whole(entry, file.size if file else None))
    if file:
        while piece := file.read(CHUNK):
            send(outgoing, DATA, piece)
        send_value(outgoing, [file.sha256, file.is_stable(), file.streamed])


def _changed(tree: MediaTree, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    """Send entries in batches; after each the client sends the numbers of the files that it wants to read."""
    everything = tree.contents(lambda _: True)
    while batch := [entry for entry, _ in islice(everything, BATCH)]:
        send_value(outgoing, [_whole(entry, None) for entry in batch])
        outgoing.flush()
        for number in json.loads(receive(incoming)[1]):
            with tree.reopened(batch[number]) as (entry, file):
                _send_entry(outgoing, entry, file)


def _unknown_digests(tree: MediaTree, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    """Send regular files in batches; after each the client sends the numbers of those whose SHA-256 it wants."""
    files = (entry for entry in tree.walk() if entry.is_file)
    while batch := list(islice(files, BATCH)):
        send_value(outgoing, [described(entry) for entry in batch])
        outgoing.flush()
        send_value(outgoing, [tree.digest_again(batch[number]) for number in json.loads(receive(incoming)[1])])
        outgoing.flush()


def _stage(tree: MediaTree, stamp: str, incoming: IO[bytes], outgoing: IO[bytes]) -> LostFileProperties:
    """Build the tree that the client sends, and return the properties that could not be given back.

    A file comes as ["file", path], its data, then ["settle", its properties]; ["unchanged", files, whether to link
    them] is answered; the other words are those of `_BUILT`.
    """
    staging = tree.stage(stamp)
    with ExitStack() as stack:
        stack.callback(staging.close)
        file: IO[bytes] | None = None
        while (frame := receive(incoming))[0] != END:
            kind, data = frame
            if kind == DATA and file:
                write_all(file, data)
                continue
            word, *rest = json.loads(data)
            if word == "file":
                file = staging.create(rest[0])
            elif word == "settle" and file:
                with file:
                    staging.settle(file, _given(rest[0]))
                file = None
            elif word == "unchanged":
                send_value(outgoing, staging.take_over([LiveFile(*values) for values in rest[0]], link=rest[1]))
                outgoing.flush()
            else:
                _BUILT[word](staging, rest)
        stack.pop_all()
    return staging.finish()


def _given(sent: dict[str, Any]) -> GivenProperties:
    extended = {name: value.encode("latin-1") for name, value in sent["extended"].items()}
    return GivenProperties(sent["mode"], sent["mtime_ns"], _owner(sent), extended)


def _owner(sent: dict[str, Any]) -> tuple[int, int] | None:
    owner = sent["owner"]
    return (owner[0], owner[1]) if owner else None


_BUILT: dict[str, Callable[[Staging, list[Any]], None]] = {
    "directory": lambda staging, rest: staging.add_directory(rest[0], _given(rest[1])),
    "hard link": lambda staging, rest: staging.add_hard_link(rest[0], rest[1]),
    "link": lambda staging, rest: staging.add_link(
        rest[0], rest[1], mtime_ns=rest[2]["mtime_ns"], owner=_owner(rest[2])
    ),
    "carry": lambda staging, rest: staging.carry_link(rest[0], rest[1]),
}


def _batches(outgoing: IO[bytes], values: Iterable[object]) -> None:
    batch: list[object] = []
    for value in values:
        batch.append(value)
        if len(batch) == BATCH:
            send_value(outgoing, batch)
            batch = []
    send_value(outgoing, batch)


def _unfinished(tree: MediaTree) -> list[tuple[str, dict[str, object]]]:
    return [(stamp, asdict(move)) for stamp, move in tree.unfinished()]


def _record(tree: MediaTree, stamp: str) -> str:
    return tree.record(stamp).decode("latin-1")


def _swap(tree: MediaTree, stamp: str, move: Move) -> str:
    return str(tree.swap(stamp, move))


def _compare_files(tree: MediaTree, files: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return tree.single_files.compare([WantedFile(**one) for one in files])


def _missing_directories(tree: MediaTree, paths: list[str], hint: str) -> tuple[str, ...]:
    return tree.single_files.missing_directories(paths, hint)


def _staged_files(tree: MediaTree, stamp: str, paths: list[str]) -> list[int]:
    return tree.single_files.staged(stamp, paths)


def _put_files(tree: MediaTree, change: dict[str, Any]) -> None:
    tree.single_files.put(_change(change))


def _changed_files(tree: MediaTree, change: dict[str, Any]) -> list[str]:
    return tree.single_files.changed(_change(change))


def _take_away(tree: MediaTree, change: dict[str, Any]) -> list[str]:
    return tree.single_files.take_away(_change(change))


def _discard_former(tree: MediaTree, stamp: str) -> None:
    tree.single_files.discard_former(stamp)


def _change(sent: dict[str, Any]) -> PutChange:
    files = tuple(PutFile(**one) for one in sent["files"])
    return PutChange(sent["stamp"], files, tuple(sent["directories"]), sent["replaced"])


_STREAMS: dict[str, Callable[[MediaTree, IO[bytes]], None]] = {
    "walk": _walk,
    "contents": _contents,
    "digests": _digests,
    "opened": _opened,
    "links": _links,
}
_CHANGES: dict[str, Callable[..., object]] = {
    "announce": MediaTree.announce,
    "swap": _swap,
    "undo_swap": MediaTree.undo_swap,
    "undo_moves": MediaTree.undo_moves,
    "undo_announce": MediaTree.undo_announce,
    "discard_stage": MediaTree.discard_stage,
    "discard_kept": MediaTree.discard_kept,
    "remove_files": MediaTree.remove_files,
    "put_files": _put_files,
    "take_away": _take_away,
    "discard_former_files": _discard_former,
}
_QUESTIONS: dict[str, Callable[..., object]] = {
    "require": MediaTree.require,
    "require_writable": MediaTree.require_writable,
    "read_only": lambda tree: tree.read_only,
    "facts": lambda tree: asdict(tree.facts()),
    "exists": MediaTree.exists,
    "names": MediaTree.names,
    "free": MediaTree.free,
    "kept": MediaTree.kept,
    "unfinished": _unfinished,
    "half_discarded": MediaTree.half_discarded,
    "record": _record,
    "is_held": MediaTree.is_held,
    "compare_files": _compare_files,
    "missing_directories": _missing_directories,
    "staged_files": _staged_files,
    "changed_files": _changed_files,
}


@contextmanager
def _held(tree: MediaTree, *, shared: bool = False) -> Iterator[None]:
    """Keep a change apart from those of a run that was killed and whose end has not come through to here.

    A file system that knows no locks on directories (NFS) is none to be refused.
    """
    with ExitStack() as stack:
        deadline = time.monotonic() + PATIENCE
        while tree.exists():
            try:
                stack.enter_context(tree.held(shared=shared))
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Locked(
                        f"another run is at work on the media {tree.root}",
                        hint="wait for its end, then run this again; a lock ends with its process",
                    ) from None
                time.sleep(_POLL)
                continue
            except OSError:
                pass
            break
        yield


def _require_client(incoming: IO[bytes]) -> None:
    """Raise EOFError if the client is gone: it sends no data after its request, so readable input is the end."""
    if select.select([incoming], [], [], 0)[0]:
        raise EOFError("the client is gone")


def _end_with(incoming: IO[bytes]) -> None:
    incoming.read()
    os._exit(1)


def _refuse(outgoing: IO[bytes], problem: dict[str, object]) -> None:
    try:
        send_value(outgoing, problem, ERROR)
        outgoing.flush()
    except BrokenPipeError:
        os._exit(1)


def _name(filename: object) -> str | None:
    return None if filename is None else os.fsdecode(filename) if isinstance(filename, (str, bytes)) else str(filename)
