"""Object Lock, legal holds and versions, on a real server that has them: believed only as far as they are read back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import KorrigoBackupError, Refused
from korrigo_backup.targets.port import StoredObject
from korrigo_backup.targets.s3 import Bucket, DeletingS3Target
from targetservers import ACCESS_KEY, SECRET_KEY, client_of, locking_s3_server, sha256_of_file

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with locking_s3_server(tmp_path_factory.mktemp("weed")) as found:
        yield found


@pytest.fixture
def target(server, tmp_path):
    bucket = Bucket(
        bucket=server.bucket,
        prefix=tmp_path.name,
        endpoint=server.endpoint,
        access_key=ACCESS_KEY,
        secret_key=Secret(SECRET_KEY),
    )
    return DeletingS3Target("cloud", bucket, lock_days=3)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(b"content" * 1000)
    return path


def put(target, source):
    return target.put("site/a.gz", source, sha256_of_file(source))


def versions(server, target, name="site/a.gz"):
    found = client_of(server).list_object_versions(Bucket=server.bucket, Prefix=f"{target.bucket.prefix}/{name}")
    return [one["VersionId"] for one in found.get("Versions", ())]


class Paged:
    """A client whose lists have seven entries a page."""

    def __init__(self, client):
        self.pages = client.get_paginator("list_object_versions")

    def get_paginator(self, _name):
        return self

    def paginate(self, **words):
        return self.pages.paginate(**words, PaginationConfig={"PageSize": 7})


@pytest.mark.contract("B9")
def test_a_retention_is_set_and_read_back_and_the_server_refuses_to_delete(server, target, source):
    until = put(target, source).locked_until
    assert timedelta(days=2.9) < until - datetime.now(UTC) < timedelta(days=3.1)
    assert target.lock_of("site/a.gz").until == until
    with pytest.raises(Refused, match="is locked until"):
        target.delete("site/a.gz")
    (version,) = versions(server, target)
    with pytest.raises(ClientError, match="AccessDenied"):  # the server itself, asked by somebody else
        client_of(server).delete_object(
            Bucket=server.bucket, Key=f"{target.bucket.prefix}/site/a.gz", VersionId=version
        )
    assert target.stat("site/a.gz") == StoredObject("site/a.gz", 7000)


def test_an_object_in_parts_is_locked_too(server, target, tmp_path):
    large = tmp_path / "large.gz"
    large.write_bytes(bytes(20_000_000))
    assert target.put("site/large.gz", large, sha256_of_file(large)).locked_until


def test_a_retention_is_lengthened(target, source):
    put(target, source)
    longer = replace(target, lock_days=9)
    assert longer.retain("site/a.gz").until - datetime.now(UTC) > 8 * DAY
    assert target.lock_of("site/a.gz").until - datetime.now(UTC) > 8 * DAY


def test_a_legal_hold_is_set_read_back_and_keeps_the_object_without_a_retention(server, target, source):
    free = replace(target, lock_days=0)
    put(free, source)
    assert free.hold("site/a.gz", on=True).is_held
    with pytest.raises(Refused, match="is locked by a legal hold"):
        free.delete("site/a.gz")
    (version,) = versions(server, target)
    with pytest.raises(ClientError, match="AccessDenied"):
        client_of(server).delete_object(
            Bucket=server.bucket, Key=f"{target.bucket.prefix}/site/a.gz", VersionId=version
        )
    assert not free.hold("site/a.gz", on=False).is_held
    free.delete("site/a.gz")
    assert versions(server, target) == []


def test_a_stronger_mode_than_the_server_shows_is_not_believed(target, source):
    put(target, source)
    assert replace(target, lock_mode="COMPLIANCE").lock_of("site/a.gz").until is None


def test_a_bucket_without_object_lock_is_refused_in_words(target, source):
    plain = replace(target, bucket=replace(target.bucket, bucket="plain"))
    with pytest.raises(KorrigoBackupError) as found:
        put(plain, source)
    assert "make the bucket with Object Lock" in found.value.hint


def test_what_somebody_has_deleted_is_found_below_the_delete_marker(server, target, source, tmp_path):
    put(target, source)
    client_of(server).delete_object(Bucket=server.bucket, Key=f"{target.bucket.prefix}/site/a.gz")
    assert list(target.list("site/")) == [StoredObject("site/a.gz", 7000, is_hidden=True)]
    assert target.stat("site/a.gz") == StoredObject("site/a.gz", 7000, is_hidden=True)
    assert target.fetch("site/a.gz", tmp_path / "back") == sha256_of_file(source)
    assert target.lock_of("site/a.gz").until


def test_deleting_removes_the_versions_that_puts_have_made_and_no_other(server, target, source):
    free = replace(target, lock_days=0)
    put(free, source)
    client = client_of(server)
    other = client.put_object(Bucket=server.bucket, Key=f"{target.bucket.prefix}/site/a.gz", Body=b"other")
    assert len(versions(server, target)) == 2
    free.delete("site/a.gz")
    assert versions(server, target) == [other["VersionId"]]
    free.delete("site/nothing")


def test_a_list_of_many_pages_has_every_object_once(server, target, source):
    client = client_of(server)
    for number in range(30):
        for _ in range(2):
            client.put_object(Bucket=server.bucket, Key=f"{target.bucket.prefix}/site/{number:02}", Body=b"x")
    client.delete_object(Bucket=server.bucket, Key=f"{target.bucket.prefix}/site/07")
    found = list(replace(target._versions, client=Paged(client)).newest(f"{target.bucket.prefix}/site/"))
    assert [one.key[-2:] for one in found] == [f"{number:02}" for number in range(30)]
    assert [one.key[-2:] for one in found if one.is_hidden] == ["07"]
