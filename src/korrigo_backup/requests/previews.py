"""A look of the admin at the files of a backup, on the host: a list of their names, or the content of a file."""

from __future__ import annotations

import hashlib
from itertools import islice
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.artifact.components import authenticity
from korrigo_backup.core.finding import Level
from korrigo_backup.core.paths import printable
from korrigo_backup.errors import NotFound, ProofFailed, Refused
from korrigo_backup.requests.model import SavedPage, ShownFile, path_of, url_path
from korrigo_backup.requests.one_file import OneFile, WholeFileError, require_small
from korrigo_backup.rescue.files import load_files
from korrigo_backup.rescue.history.files import CONTENT, SIZE, relative, saved_file
from korrigo_backup.rescue.media_files.saved import files_of, media_named
from korrigo_backup.site.erasures import erased_among_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.requests.model import FileRequest
    from korrigo_backup.rescue.media_files.selection import SavedFile
    from korrigo_backup.site.site import Site

FILES = "files"
"""The name of the list of files among the answers."""

PAGE = 50
"""Files of a page."""


def list_files(site: Site, catalog: Catalog, request: FileRequest) -> SavedPage:
    """Return a page of the files of a backup, those with the words of the request in their paths.

    A file that was erased on request is left out. Raises as `read_file`.
    """
    media = _media(catalog, request.backup)
    first = (request.page - 1) * PAGE
    try:
        found = list(islice(_with_words(files_of(media), request.words), first, first + PAGE + 1))
    except FileNotFoundError:
        raise _without_listing(media) from None
    erased = erased_among_files(site, [(media, [one.path for one in found])])
    proof = media.manifest.media if media.manifest else None
    return SavedPage(
        FILES,
        ("path", "name", "size"),
        tuple(
            (url_path(one.path), printable(one.path), None if one.size is None else str(one.size))
            for one in found[:PAGE]
            if one.path not in erased
        ),
        words=request.words,
        page=request.page,
        has_next=len(found) > PAGE,
        total=proof.files if proof else 0,
    )


def read_file(site: Site, catalog: Catalog, request: FileRequest) -> tuple[ShownFile, bytes]:
    """Return a file of a backup, proven by its checksum.

    Raises UsageError for a path that leads out of the media, NotFound, ProofFailed, Refused for a backup that cannot be
    relied on, a file that was erased on request or is too large.
    """
    path, media = relative(path_of(request.path), ""), _media(catalog, request.backup)
    try:
        saved = saved_file(media, path)
    except FileNotFoundError:
        raise _without_listing(media) from None
    erased = erased_among_files(site, [(media, [path])])
    if saved is None or CONTENT not in saved or erased:
        raise NotFound(
            f"{media.name} has no file {printable(path)}, or it was erased on request",
            hint="look for it in the list of the files, or in another backup",
        )
    require_small(int(saved.get(SIZE) or 0))
    content = _content(media, path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != saved[CONTENT]:
        raise ProofFailed(
            f"{printable(path)} in {media.name} is not as saved", hint=f"korrigo-backup verify {quote(media.name)}"
        )
    return ShownFile(path=url_path(path), size=len(content), sha256=digest), content


def _content(media: Artifact, path: str) -> bytes:
    try:
        load_files(media, frozenset({path}), OneFile())
    except WholeFileError as whole:
        return whole.content
    raise ProofFailed(f"{media.name} lacks {printable(path)}", hint="use another backup: korrigo-backup list")


def _media(catalog: Catalog, name: str) -> Artifact:
    """Return the media backup of a name, of a restore point its component; raises unless it can be relied on."""
    media = media_named(catalog, name)
    if media.problem:
        raise Refused(f"{media.name} cannot be relied on", hint=f"korrigo-backup verify {quote(media.name)}")
    signs = authenticity(media, allow_unsigned=False)
    if bad := next((one for one in signs if one.level is Level.ERROR), None):
        raise Refused(bad.message, hint=bad.hint, id_=bad.id)
    return media


def _with_words(files: Iterator[SavedFile], words: str) -> Iterator[SavedFile]:
    wanted = words.casefold()
    return (one for one in files if one.target is None and wanted in printable(one.path).casefold())


def _without_listing(media: Artifact) -> Refused:
    return Refused(f"{media.name} has no list of its files", hint="look into a newer backup")
