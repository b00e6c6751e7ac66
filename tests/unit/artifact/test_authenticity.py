"""A signed manifest is known; any change of it is found, also in fields that this version does not know."""

import json
from pathlib import Path

import pytest

from korrigo_backup.artifact import keyring
from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.artifact.identity import SiteRecord
from korrigo_backup.artifact.signature import Authenticity, Key, Verdict, check, sign, verdict
from korrigo_backup.errors import Interrupted, Refused, UsageError

KEY, OTHER = Key(b"k" * 32), Key(b"o" * 32)
RAW = json.dumps({"timestamp": "t", "members": [{"name": "a", "size": 1}], "of a newer version": {"x": 1.5}}).encode()
RING = {KEY.id: KEY}


def test_signed_data_is_authentic_also_with_an_old_key():
    assert check(sign(RAW, KEY), RING) is Authenticity.AUTHENTIC
    assert check(sign(RAW, OTHER), {**RING, OTHER.id: OTHER}) is Authenticity.AUTHENTIC
    assert check(RAW, RING) is Authenticity.UNSIGNED
    assert check(sign(RAW, OTHER), RING) is Authenticity.UNKNOWN_KEY


@pytest.mark.parametrize(
    "path", [["timestamp"], ["members", 0, "size"], ["of a newer version", "x"], ["auth", "hmac"], ["new"]]
)
def test_any_change_is_a_forgery(path):
    document = json.loads(sign(RAW, KEY))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = "altered"
    assert check(json.dumps(document).encode(), RING) is Authenticity.FORGED


def test_the_layout_of_the_file_does_not_matter():
    document = json.loads(sign(RAW, KEY))
    assert check(json.dumps(dict(reversed(document.items()))).encode(), RING) is Authenticity.AUTHENTIC


@pytest.mark.promise("P7")
def test_the_key_file_is_private_made_once_and_kept(tmp_path):
    path = tmp_path / "new" / "key"
    first = keyring.read(path).signing()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert keyring.read(path).signing() == first
    assert first.secret.hex() not in repr(first)


def test_a_key_file_that_others_may_read_or_that_is_none_is_refused(tmp_path):
    path = tmp_path / "key"
    keyring.read(path).signing()
    path.chmod(0o644)
    with pytest.raises(Refused, match="can be read by others"):
        keyring.read(path)
    for content in ("", "zz", "ab" * 31):
        path.write_text(content)
        path.chmod(0o600)
        with pytest.raises(UsageError, match="not a key file"):
            keyring.read(path)


def test_an_altered_manifest_is_a_forgery_also_where_its_key_is_not():
    """The check needs no key: an altered bit is not taken for a backup of another user."""
    signed = sign(RAW, OTHER)
    altered = json.loads(signed)
    altered["timestamp"] = "20991231_235959"
    assert check(signed, {}) is Authenticity.UNKNOWN_KEY
    assert check(json.dumps(altered).encode(), {}) is Authenticity.FORGED


def test_a_manifest_of_the_first_versions_has_no_check_and_is_of_an_unknown_key():
    raw = json.loads(sign(RAW, OTHER))
    del raw["auth"]["check"]
    assert check(json.dumps(raw).encode(), RING) is Authenticity.UNKNOWN_KEY


def test_a_site_record_whose_writing_is_interrupted_leaves_no_file(tmp_path, monkeypatch):
    def interrupted(self, target):
        raise Interrupted

    monkeypatch.setattr(Path, "replace", interrupted)
    (tmp_path / "backups").mkdir()
    with pytest.raises(Interrupted):
        Catalog(tmp_path / "backups", keyring.read(tmp_path / "key")).site_records.note(
            SiteRecord(id="of-a-test", site="korrigo", environment="production")
        )
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize(
    ("found", "refused", "allowed"),
    [
        (Authenticity.AUTHENTIC, Verdict.GOOD, Verdict.GOOD),
        (Authenticity.FORGED, Verdict.ALTERED, Verdict.ALTERED),
        (Authenticity.UNSIGNED, Verdict.REFUSED, Verdict.ALLOWED),
        (Authenticity.UNKNOWN_KEY, Verdict.REFUSED, Verdict.ALLOWED),
    ],
)
def test_a_signature_has_the_same_consequence_on_the_host_and_in_the_site(found, refused, allowed):
    assert verdict(found, allow_unsigned=False) is refused
    assert verdict(found, allow_unsigned=True) is allowed
