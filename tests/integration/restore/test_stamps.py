"""Two restores of one second are two restores: each keeps what it replaced under a name of its own."""

from datetime import UTC, datetime

import pytest

from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.artifact.keyring import Keyring
from korrigo_backup.artifact.signature import Key
from korrigo_backup.backup.media import backup_media
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.postgres.client import Postgres
from korrigo_backup.restore.restore import RestoreOptions, restore
from korrigo_backup.site.services import CommandServices
from korrigo_backup.site.site import Site


@pytest.mark.contract("T14")
@pytest.mark.promise("P2")
def test_two_restores_of_one_second_do_not_undo_each_other(server, tmp_path):
    tree = MediaTree(tmp_path / "media")
    tree.root.mkdir()
    (tree.root / "a").write_text("saved")
    postgres = Postgres(server.access(), database="postgres", maintenance="postgres")
    site = Site("test", postgres, tree, "app/media", CommandServices((), (), None, 1))
    keyring = Keyring(tmp_path / "key", (Key(b"k" * 32),))
    catalog, now = Catalog(tmp_path / "backups", keyring), datetime(2026, 2, 4, 3, tzinfo=UTC)
    artifact = backup_media(site, catalog, now=now).artifact
    for number in (1, 2):
        (tree.root / "a").write_text(f"damaged {number}")
        restore(site, catalog, artifact, RestoreOptions(), now=now, confirm=lambda _: {})
        assert (tree.root / "a").read_text() == "saved"
    previous = sorted((tree.beside("before", stamp) / "a").read_text() for stamp in tree.kept("before"))
    assert previous == ["damaged 1", "damaged 2"]
