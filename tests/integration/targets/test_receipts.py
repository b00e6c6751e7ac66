"""A receipt is believed for the artifact that it was signed for, and for no other."""

import json

import pytest

from targetsite import cloud, configure


@pytest.fixture
def place(site, s3):
    configure(site, cloud(site, s3, more="seal = false"), s3=s3)
    site.backup()
    site.korrigo("copy")
    (found,) = (s3.data / site.database).iterdir()
    return found


def read_back(site, name):
    items = site.json("list", "--on", "cloud")["items"]
    return next(one["read"] for one in items if one["name"] == name)


@pytest.mark.promise("P1")
def test_the_receipt_of_another_backup_proves_nothing(site, place):
    (first,) = site.backups.glob("db_backup_2*.sql.gz")
    second = site.backup()
    site.korrigo("copy")
    own = place / f"{second.name}.receipt.json"
    own.write_bytes((place / f"{first.name}.receipt.json").read_bytes())
    (place / second.name).unlink()
    done = site.korrigo("verify", "--on", "cloud", second.name, code=9)
    assert "is that of another backup" in done.err
    assert read_back(site, first.name) is None
    site.korrigo("fetch", "cloud", second.name, code=9)
    site.korrigo("fetch", "cloud", second.name, "--allow-unsigned", code=9)


@pytest.mark.promise("P1")
def test_a_receipt_without_a_signature_is_no_proof(site, place):
    (dump,) = site.backups.glob("db_backup_2*.sql.gz")
    receipt = place / f"{dump.name}.receipt.json"
    fields = json.loads(receipt.read_bytes())
    receipt.write_text(json.dumps({**{k: v for k, v in fields.items() if k != "auth"}, "objects": []}))
    done = site.korrigo("verify", "--on", "cloud", dump.name, code=9)
    assert "is not signed" in done.err
    assert read_back(site, dump.name) is None


@pytest.mark.promise("P1")
def test_a_receipt_that_a_stranger_has_signed_replaces_none_of_this_host(site, place, tmp_path):
    from korrigo_backup.artifact.signature import Key, sign  # noqa: PLC0415 - what the stranger has

    (dump,) = site.backups.glob("db_backup_2*.sql.gz")
    receipt = place / f"{dump.name}.receipt.json"
    fields = json.loads(receipt.read_bytes())
    made = json.dumps({**{k: v for k, v in fields.items() if k != "auth"}, "objects": []}).encode()
    receipt.write_bytes(sign(made, Key(bytes(32))))
    site.korrigo("verify", "--on", "cloud", dump.name, code=9)
    assert read_back(site, dump.name) is None
