"""The admin's pages about media files of a backup: who may, what is asked, and how a file is served."""

import os
from datetime import UTC, datetime
from hashlib import sha256

from django.contrib.admin.models import LogEntry

from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.djangoapp.look.files import of_row
from korrigo_backup.djangoapp.look.tables import SavedTable
from korrigo_backup.requests.model import FileRequest, HostAnswer, SavedPage, ShownFile, State, url_path
from standings import backup
from testsite.models import Everything

DUMP, MEDIA = backup(3), backup(4, kind=Kind.MEDIA)
PAGE = f"/admin/korrigo_backup/backups/backup/{MEDIA.name}/"
FILES = f"{PAGE}files/"


def _answer(spool, path="scans/1.png", content=b"\x89PNG\r\n\x1a\nx", id_="a" * 32, **given):
    file = ShownFile(path=url_path(path), size=len(content), sha256=sha256(content).hexdigest())
    fields = {"at": datetime.now(UTC), "backup": MEDIA.name, "state": State.SHOWN, "wants": "file", "file": file}
    spool.answer_file(id_, content)
    spool.answer(HostAnswer(**{"id": id_, **fields, **given}))
    return f"{FILES}{id_}/"


def test_files_need_a_permission_of_their_own(spool, staff):
    address = _answer(spool)
    for codenames in (("view_backups", "look_into_backups", "bring_back"), ("preview_files",)):
        one = staff(*codenames)
        assert {one.get(at).status_code for at in (FILES, address, f"{address}content/")} == {403}
        assert one.post(FILES, {"q": "x"}).status_code == 403
    assert FILES not in staff("view_backups").get(PAGE).content.decode()
    one = staff("view_backups", "preview_files")
    assert f'href="{FILES}"' in one.get(PAGE).content.decode()
    assert one.get(FILES.replace(MEDIA.name, DUMP.name)).status_code == 404
    assert (spool.waiting(), LogEntry.objects.count()) == ({}, 0)


def test_a_list_and_a_file_are_asked_for_and_each_is_in_the_log(spool, staff):
    one = staff("view_backups", "preview_files")
    there = one.post(FILES, {"q": " caf "}).headers["Location"]
    assert "has not answered yet" in one.get(there).content.decode()
    rows = ((url_path(os.fsdecode(b"caf\xe9.png")), "caf\\xe9.png", "12"),)
    found = SavedPage("files", ("path", "name", "size"), rows, words="caf", total=4, has_next=True)
    id_ = there.split("/")[-2]
    spool.answer(
        HostAnswer(id=id_, state=State.SHOWN, at=datetime.now(UTC), backup=MEDIA.name, wants="file", found=found)
    )
    seen = one.get(there).content.decode()
    assert ('name="file" value="caf%E9.png"' in seen, 'name="p" value="2"' in seen) == (True, True)
    one.post(FILES, {"file": "caf%E9.png"})
    asked = [request for request in spool.waiting().values() if isinstance(request, FileRequest)]
    assert [(request.words, request.path) for request in asked] == [("caf", ""), ("", "caf%E9.png")]
    assert "Choose" in one.post(FILES, {"file": "a b\n"}).content.decode()
    lines = "\n".join(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))
    assert all(
        words in lines for words in ("search 'caf'", "looked at names of files", r"asked to look at caf\xe9.png")
    )


SERVED = {
    "a.svg": (b"\x89PNG\r\n\x1a\n", "image/png", "inline"),
    "b.jpg": (b"\xff\xd8\xff\xe0", "image/jpeg", "inline"),
    "c.gif": (b"GIF89a", "image/gif", "inline"),
    "d.webp": (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp", "inline"),
    "e.pdf": (b"%PDF-1.7", "application/pdf", "attachment"),
    "f.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "application/octet-stream", "attachment"),
    "g.png": (b"<html><script>alert(1)</script>", "application/octet-stream", "attachment"),
    "h.png": (b"        WEBP", "application/octet-stream", "attachment"),
    "i.png": (b"", "application/octet-stream", "attachment"),
}


def test_only_images_by_their_bytes_are_shown_in_a_page_and_nothing_is_run(spool, staff):
    one = staff("view_backups", "preview_files")
    for number, (name, (content, kind, disposition)) in enumerate(SERVED.items()):
        address = _answer(spool, f"x/{name}", content, f"{number:032x}")
        got = one.get(f"{address}content/")
        assert (got.status_code, got.headers["Content-Type"], got.content) == (200, kind, content), name
        assert got.headers["Content-Disposition"] == f"{disposition}; filename=\"{name}\"; filename*=UTF-8''{name}"
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in got.headers["Content-Security-Policy"]
        assert "no-store" in got.headers["Cache-Control"]
        assert ("<img" in one.get(address).content.decode()) == (disposition == "inline"), name
    assert LogEntry.objects.filter(change_message__startswith="looked at the file x/").count() == len(SERVED)


def test_a_name_that_is_no_text_or_would_split_a_header_is_escaped(spool, staff):
    one = staff("view_backups", "preview_files")
    address = _answer(spool, os.fsdecode(b'x/\xe9"\r\nSet-Cookie: a=b;.png'))
    value = one.get(f"{address}content/").headers["Content-Disposition"]
    assert ("\n" in value, value.count('"'), "Set-Cookie:" in value) == (False, 2, False)


def test_a_file_that_is_gone_altered_or_of_another_backup_is_not_served(spool, staff):
    one = staff("view_backups", "preview_files")
    address, inside = _answer(spool), spool.directory / "answers"
    (inside / f"{'a' * 32}.file").write_bytes(b"\x89PNG\r\n\x1a\ny")
    assert one.get(f"{address}content/").status_code == 404
    (inside / f"{'a' * 32}.file").unlink()
    assert one.get(f"{address}content/").status_code == 404
    assert "for an hour only" in one.get(address).content.decode()
    (inside / f"{'a' * 32}.file").symlink_to("/etc/passwd")
    assert one.get(f"{address}content/").status_code == 404
    assert one.get(_answer(spool, id_="b" * 32, backup=DUMP.name)).status_code == 404
    assert one.get(_answer(spool, id_="c" * 32, wants="look")).status_code == 404
    assert one.get(f"{FILES}..%2F..%2Fx/content/").status_code == 404


def test_the_file_fields_of_a_row_lead_to_their_files():
    table = SavedTable("public.testsite_everything", 1, Everything)
    fields: list[dict[str, str | None]] = [
        {"name": "file", "saved": "scans/é 1.pdf"},
        {"name": "text", "saved": "x"},
        {"name": "id", "saved": None},
    ]
    assert of_row(table, fields) == [{"name": "scans/é 1.pdf", "path": "scans/%C3%A9%201.pdf"}]
