"""A run that has no rights over the site, as in a sidecar: it leaves to others what only they can finish."""

from korrigo_backup.media.tree import MediaTree
from korrigo_backup.retention.previous_copies import survey

STAMP = "20200101_000000"


def test_services_that_only_another_can_start_are_named_and_not_forgotten(site):
    site.backups.mkdir()
    note = site.backups / ".services-stopped"
    note.write_text("backend\nnginx")
    output = site.korrigo("nightly", code=4).err
    assert "an interrupted run has left these services stopped: backend, nginx" in output
    assert "state: STOPPED" in output
    assert note.read_text() == "backend\nnginx"
    assert site.published() == frozenset()


def test_kept_media_that_cannot_be_removed_from_here_keep_their_database(site, monkeypatch):
    database = f"{site.database}_before_{STAMP}"
    site.sql(f'CREATE DATABASE "{database}"', superuser=True)
    (site.media / f".before-{STAMP}").mkdir()
    (seen,) = survey(site.wired().site())
    assert seen.names == (database, f".before-{STAMP}")
    monkeypatch.setattr(MediaTree, "read_only", property(lambda _: True))
    assert survey(site.wired().site()) == []
