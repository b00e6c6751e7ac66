"""A key that may only write puts other content over copies in a bucket with versions: what was sent is read."""

import json
import shutil

import pytest

from targetservers import client_of, locking_s3_server
from targetsite import cloud, configure


@pytest.fixture(scope="module")
def locking(tmp_path_factory):
    with locking_s3_server(tmp_path_factory.mktemp("weed")) as found:
        yield found


def put_over(locking, site, content):
    """Put another version over every object of the site; `content` makes it from the present one."""
    client = client_of(locking)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=locking.bucket, Prefix=f"{site.database}/"):
        for one in page["Contents"]:
            at = {"Bucket": locking.bucket, "Key": one["Key"]}
            client.put_object(**at, Body=content(client.get_object(**at)["Body"].read()))


def altered_receipt(content):
    """A receipt that names no object, with the former signature; any other object as junk."""
    try:
        found = json.loads(content)
    except ValueError:
        return b"junk" + content
    return json.dumps(found | {"objects": []}).encode() if "objects" in found else b"junk"


@pytest.mark.promise("P1", "P9")
@pytest.mark.parametrize("content", [lambda _: b"junk", altered_receipt], ids=["junk", "altered receipts"])
def test_locked_copies_are_verified_and_restored_from_below_other_content(site, locking, content):
    configure(site, "[media]\nstore = true", cloud(site, locking, more="seal = false\nlock_days = 1"), s3=locking)
    site.write("scans/a.pdf", b"%PDF-1.4 a")
    site.korrigo("backup", "full")
    point = site.one("restore_point_*.json").name
    site.korrigo("copy")
    put_over(locking, site, content)
    put_over(locking, site, content)

    verified = site.korrigo("verify", "--on", "cloud", point, code=3)
    assert "somebody has put other content over" in verified.output
    assert "bytes read back from cloud" in verified.output
    before = site.content(), site.tree()
    for path in site.backups.iterdir():
        if path.name.startswith((".copies", ".site", ".journal")):
            continue
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    site.wreck()
    restored = site.korrigo("restore", "--from", "cloud", point, "--yes")
    assert "somebody has put other content over" in restored.out
    assert (site.content(), site.tree()) == before


@pytest.mark.promise("P9")
def test_content_that_no_version_has_is_refused(site, locking):
    configure(site, cloud(site, locking, more="seal = false"), s3=locking)
    dump = site.backup()
    site.korrigo("copy")
    client = client_of(locking)
    key = f"{site.database}/{next(site.backups.glob('.site-*.json')).name[6:-5]}/{dump.name}"
    listed = client.list_object_versions(Bucket=locking.bucket, Prefix=key)["Versions"]
    (version,) = [one["VersionId"] for one in listed if one["Key"] == key]
    client.put_object(Bucket=locking.bucket, Key=key, Body=b"junk")
    client.put_object(Bucket=locking.bucket, Key=key, Body=b"other junk")
    client.delete_object(Bucket=locking.bucket, Key=key, VersionId=version)
    assert "has another content than was sent" in site.korrigo("verify", "--on", "cloud", dump.name, code=9).output
    dump.unlink()
    site.korrigo("fetch", "cloud", dump.name, code=9)
    assert not dump.exists()
