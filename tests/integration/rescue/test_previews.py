"""Files of media backups that the admin asks for: shown with their proof, never those erased on request."""

import os
import stat
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from korrigo_backup.requests.model import FileRequest, State, path_of, url_path
from korrigo_backup.requests.one_file import LARGEST_FILE
from korrigo_backup.requests.spool import Spool

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 1000
ODD = os.fsdecode(b"scans/caf\xe9 \n.png")
SAVED = {"scans/1.png": PNG, "scans/again.png": PNG, ODD: b"odd", "scans/gone.png": b"gone", "a.html": b"<script>"}


@pytest.fixture(params=["archive", "store"])
def album(site, tmp_path, request):
    """A site with a spool and a media backup, as an archive or in the media store."""
    site.spool = Spool(tmp_path / "spool")
    for name in ("requests", "answers"):
        (site.spool.directory / name).mkdir(parents=True)
    site.store = f"[media]\nstore = {str(request.param == 'store').lower()}\n"
    _configure(site, previews=True)
    for name, content in SAVED.items():
        site.write(name, content)
    (site.media / "scans/again.png").unlink()
    with (site.media / "scans/large.bin").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    os.link(site.media / "scans/1.png", site.media / "scans/again.png")
    site.saved = site.backup_media().name
    return site


def _configure(site, *, previews):
    rules = f'[requests]\ndirectory = "{site.spool.directory}"\npreviews = {str(previews).lower()}\n'
    (site.home / "korrigo-backup.toml").write_text(rules + site.store)


def _ask(site, path="", **given):
    fields = {"by": "marie", "asked": datetime.now(UTC), "backup": site.saved, "path": url_path(path), **given}
    return site.spool.ask(FileRequest(**fields))


def test_a_file_is_shown_as_it_was_for_an_hour_and_any_other_is_refused(album):
    good = {path: _ask(album, path) for path in SAVED}
    paths = ("../../etc/passwd", "/etc/passwd", "scans/../../x", "scans", "nowhere.png", "scans/large.bin", "a\0b")
    bad = [_ask(album, path) for path in paths] + [_ask(album, backup="latest")]
    (album.media / "scans/1.png").write_bytes(b"changed since")
    album.korrigo("requests", "run")
    for path, id_ in good.items():
        answer = album.spool.answer_to(id_)
        content = album.spool.file_for(id_, answer.file.size)
        assert (answer.state, path_of(answer.file.path), content) == (State.SHOWN, path, SAVED[path])
        assert sha256(content).hexdigest() == answer.file.sha256
    assert {album.spool.answer_to(id_).state for id_ in bad} == {State.REFUSED}
    answers = album.spool.directory / "answers"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in answers.iterdir()}
    assert modes == {0o640}, "as the directory: for the host and its group"
    looks = [one for one in album.journal() if one["verb"] == "look"]
    assert len([one for one in looks if "its content" in one["message"] and "marie" in one["message"]]) == len(good)
    old = (datetime.now(UTC) - timedelta(minutes=61)).timestamp()
    for path in answers.glob("*.file"):
        os.utime(path, (old, old))
    album.korrigo("requests", "run")
    assert list(answers.glob("*.file")) == []


def test_an_erased_file_is_neither_shown_nor_listed(album):
    album.korrigo("forget", "--file", "scans/gone.png")
    gone, names, found = _ask(album, "scans/gone.png"), _ask(album), _ask(album, words="CAF")
    album.korrigo("requests", "run")
    assert album.spool.answer_to(gone).state is State.REFUSED
    listed = {path_of(row[0]) for row in album.spool.answer_to(names).found.rows}
    assert {*SAVED, "scans/large.bin"} - listed == {"scans/gone.png"}
    assert [path_of(row[0]) for row in album.spool.answer_to(found).found.rows] == [ODD]


def test_by_default_no_file_is_shown(album):
    _configure(album, previews=False)
    ids = [_ask(album, "scans/1.png"), _ask(album)]
    album.korrigo("requests", "run")
    assert {album.spool.answer_to(id_).state for id_ in ids} == {State.REFUSED}
