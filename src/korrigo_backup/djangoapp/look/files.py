"""Media files of a backup, asked of the host: a list of their names, or one file, which a browser never runs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import msgspec
from django.db.models import FileField
from django.http import Http404, HttpResponse
from django.utils.translation import pgettext

from korrigo_backup.core.paths import printable
from korrigo_backup.djangoapp.look.asking import answer_about, ask, who
from korrigo_backup.djangoapp.look.sent import host_look
from korrigo_backup.djangoapp.status.wording import with_next_step
from korrigo_backup.requests.model import FileRequest, State, path_of, url_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from korrigo_backup.djangoapp.look.tables import SavedTable
    from korrigo_backup.requests.model import HostAnswer, ShownFile
    from korrigo_backup.requests.spool import Spool

_LONGEST = 1000
"""Characters of a path in a row."""


class FileKind(NamedTuple):
    """The type under which a file is served, and whether a page may show it as an image."""

    type: str
    is_image: bool


_OTHER = FileKind("application/octet-stream", is_image=False)
_KINDS = (
    (0, b"\x89PNG\r\n\x1a\n", FileKind("image/png", is_image=True)),
    (0, b"\xff\xd8\xff", FileKind("image/jpeg", is_image=True)),
    (0, b"GIF87a", FileKind("image/gif", is_image=True)),
    (0, b"GIF89a", FileKind("image/gif", is_image=True)),
    (8, b"WEBP", FileKind("image/webp", is_image=True)),
    (0, b"%PDF-", FileKind("application/pdf", is_image=False)),
)

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


def kind_of(content: bytes) -> FileKind:
    """Return the kind of a file by its first bytes; its name does not count."""
    for place, first, kind in _KINDS:
        if content.startswith(first, place) and (place == 0 or content.startswith(b"RIFF")):
            return kind
    return _OTHER


def ask_for_files(user: Any, found: Spool, name: str, given: Mapping[str, str]) -> str:
    """Ask the host for a file of a backup, or for a list of files; return the id. ValueError with the reason."""
    number, path = given.get("p", "1"), given.get("file", "")
    fields = {
        "wants": "file",
        **who(user),
        "backup": name,
        "path": path,
        "page": int(number) if number.isascii() and number.isdigit() and len(number) < len("100000") else 1,
        "words": given.get("q", "").strip(),
    }
    try:
        asked = msgspec.convert(fields, type=FileRequest)
    except msgspec.ValidationError:
        raise ValueError(pgettext("korrigo_backup", "Choose what to look at.")) from None
    words = printable(path_of(path)) if path else f"names of files, page {asked.page}, search {asked.words!r}"
    return ask(user, found, name, asked, f"asked to look at {words}", given.get("once", ""))


def shown(found: Spool, name: str, id_: str) -> dict[str, Any]:
    """Return the values of the host's answer; Http404 for none about files of this backup."""
    answer = _answer(found, name, id_)
    if answer is None or answer.state is State.TAKEN:
        return {"is_waiting": True, "is_taken": answer is not None, **host_look(found)}
    if answer.found:
        page = answer.found
        return {
            "found": page,
            "rows": [{"path": path, "name": text, "size": size and int(size)} for path, text, size in page.rows],
            "before": page.page - 1 if page.page > 1 else None,
            "after": page.page + 1 if page.has_next else None,
        }
    if answer.file is None:
        return {"trouble": with_next_step(answer.message, answer.hint)}
    content = found.file_for(id_, answer.file.size)
    kind = kind_of(content) if content is not None else None
    return {"file": answer.file, "name": printable(path_of(answer.file.path)), "kind": kind}


def served(found: Spool, name: str, id_: str) -> tuple[str, HttpResponse]:
    """Return the path of a file and the response with its content; Http404 once it is gone, or if it has changed."""
    answer = _answer(found, name, id_)
    file = answer.file if answer else None
    content = found.file_for(id_, file.size) if file else None
    if file is None or content is None or hashlib.sha256(content).hexdigest() != file.sha256:
        raise Http404("there is no such file any more")
    kind = kind_of(content)
    response = HttpResponse(content, content_type=kind.type, headers=_HEADERS)
    response["Content-Disposition"] = _disposition(file, is_inline=kind.is_image)
    return printable(path_of(file.path)), response


def _disposition(file: ShownFile, *, is_inline: bool) -> str:
    """Return how a browser takes the file: an image in a page, any other as a download under its own name."""
    name = file.path.rpartition("/")[2]
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)
    text = printable(path_of(name))
    kind = "inline" if is_inline else "attachment"
    return "; ".join((kind, f'filename="{plain}"', f"filename*=UTF-8''{quote(text, safe='')}"))


def of_row(table: SavedTable, fields: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the files that a saved row names in its file fields, each with its path as a request has it."""
    options = table.model._meta if table.model else None  # noqa: SLF001
    columns = {one.column for one in options.concrete_fields if isinstance(one, FileField)} if options else set()
    named = [str(one["saved"]) for one in fields if one["name"] in columns and one["saved"]]
    return [{"name": one, "path": url_path(one)} for one in named if len(one) <= _LONGEST]


def _answer(found: Spool, name: str, id_: str) -> HostAnswer | None:
    answer = answer_about(found, name, id_)
    if answer and answer.wants != "file":
        raise Http404("there is no such request about files of this backup")
    return answer
