"""What a manifest may say."""

import json
from typing import Any

import msgspec
import pytest

from korrigo_backup.artifact import manifest as manifest_module
from korrigo_backup.artifact.manifest import (
    FORMAT,
    DatabaseProof,
    Manifest,
    MediaProof,
    Member,
    TableProof,
    decode,
    encode,
)
from korrigo_backup.artifact.signature import Authenticity, Key, check, sign
from korrigo_backup.errors import KorrigoBackupError, ProofFailed, Refused
from korrigo_backup.retention import holds
from korrigo_backup.run import journal
from property_testing import given, st

FIVE: dict[str, Any] = {
    "timestamp": "20260203_120000",
    "includes_media": True,
    "database_backup": "db_backup_20260203_120000.json",
    "media_backup": "media_backup_20260203_120000.zip",
    "backup_dir": "/tmp/backups/korrigo_backup_20260203_120000",
}


def raw(**changes):
    return json.dumps(FIVE | changes).encode()


@pytest.mark.contract("B2")
def test_the_five_keys_of_the_former_command_are_enough():
    manifest = decode(raw(), "m")
    assert manifest.format == 0
    assert manifest.timestamp == "20260203_120000"
    assert manifest.members == ()


@pytest.mark.contract("B2")
def test_a_new_manifest_keeps_the_five_keys():
    encoded = encode(Manifest(**FIVE, format=FORMAT))
    assert {key: json.loads(encoded)[key] for key in FIVE} == FIVE
    assert encoded.endswith(b"}\n")


def test_an_encoded_manifest_is_decoded_to_the_same():
    manifest = Manifest(
        **FIVE,
        format=FORMAT,
        members=(Member("a", 1, "0" * 64),),
        media=MediaProof(files=1, bytes=2, members="a.sha256", root="app/media"),
    )
    assert decode(encode(manifest), "m") == manifest


def test_a_table_takes_one_line_of_the_manifest():
    tables = tuple(TableProof(f"public.t{n}", n, "0" * 32) for n in range(50))
    proof = DatabaseProof(name="d", server_version="15", client_version="15", digest=None, tables=tables)
    manifest = Manifest(**FIVE, format=FORMAT, database=proof)
    lines = encode(manifest).decode().splitlines()
    assert sum("public.t" in line for line in lines) == 50
    assert '      {"name":"public.t7","rows":7,"digest":"00000000000000000000000000000000"},' in lines
    assert decode(encode(manifest), "m") == manifest


def test_a_signed_manifest_is_laid_out_alike():
    key = Key(b"k" * 32)
    raw = encode(Manifest(**FIVE, format=FORMAT, members=(Member("a", 1, "0" * 64), Member("b", 2, "1" * 64))))
    signed = sign(raw, key)
    assert check(signed, {key.id: key}) is Authenticity.AUTHENTIC
    assert set(raw.splitlines()[:-2]) < set(signed.splitlines())


def test_a_manifest_that_is_larger_than_any_is_read_is_refused(monkeypatch):
    monkeypatch.setattr(manifest_module, "LARGEST", 100)
    manifest_module.require_size(b"x" * 100, "m")
    with pytest.raises(KorrigoBackupError, match="more than 100 bytes"):
        manifest_module.require_size(b"x" * 101, "m")


def test_a_manifest_of_a_newer_version_is_refused_with_both_numbers():
    with pytest.raises(ProofFailed, match=f"has format {FORMAT + 1}, this version reads up to {FORMAT}"):
        decode(raw(format=FORMAT + 1), "m")


def test_unknown_keys_are_ignored():
    assert decode(raw(later="x"), "m").timestamp == FIVE["timestamp"]


@pytest.mark.parametrize("missing", FIVE)
def test_each_of_the_five_keys_must_be_there(missing):
    with pytest.raises(ProofFailed, match=missing):
        decode(json.dumps({k: v for k, v in FIVE.items() if k != missing}).encode(), "m")


OUTSIDE = ["../x", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "a\0b"]


@pytest.mark.promise("P5")
@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("where", ["database_backup", "media_backup", "members", "media"])
def test_a_name_that_leads_elsewhere_is_refused(where, name):
    values = {
        "members": [{"name": name, "size": 1, "sha256": "0"}],
        "media": {"files": 1, "bytes": 1, "members": name, "root": "r"},
    }
    with pytest.raises(ProofFailed, match="not a file in the same directory"):
        decode(raw(**{where: values.get(where, name)}), "m")


@given(st.binary(max_size=200) | st.from_type(type(None)).map(lambda _: b"[]"))
def test_decoding_garbage_raises_only_proof_failed(data):
    with pytest.raises(ProofFailed):
        decode(data, "m")


@given(st.dictionaries(st.sampled_from([*FIVE, "members", "media", "created", "format", "database"]), st.integers()))
def test_values_of_another_type_are_a_proof_that_failed(changes):
    try:
        decode(msgspec.json.encode(FIVE | changes), "m")
    except ProofFailed:
        return
    assert set(changes) <= {"format"}


@pytest.mark.parametrize(
    "moment", ["2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1969-12-31T00:00:00Z"]
)
def test_a_time_that_cannot_be_compared_with_others_is_refused_wherever_it_is_read(moment, tmp_path):
    with pytest.raises(ProofFailed, match=r"year|zone"):
        decode(msgspec.json.encode(FIVE | {"created": moment}), "m")
    line = {"id": "1", "verb": "backup", "subject": "db", "site": "s", "by": "b", "started": moment}
    (tmp_path / ".journal.jsonl").write_bytes(msgspec.json.encode(line))
    assert journal.read(tmp_path) == []
    hold = {"name": "n", "reason": "r", "holder": "h", "since": "2026-01-01T00:00:00Z", "until": moment}
    (tmp_path / ".holds.json").write_bytes(msgspec.json.encode([hold]))
    with pytest.raises(Refused):
        holds.read(tmp_path)


@pytest.mark.promise("P6")
def test_a_deeply_nested_manifest_is_a_proof_that_failed():
    with pytest.raises(ProofFailed):
        decode(b'{"timestamp":' + b"[" * 100_000, "m")
