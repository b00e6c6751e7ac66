"""Telling people and monitors: real mail, webhooks and pings on loopback, and servers that do not answer."""

import pytest

from sinks import web

TOKEN = "B0Ch3cKt0k3n99"


@pytest.fixture
def hooks():
    with web() as server:
        yield server


@pytest.fixture
def told(site, hooks):
    """Configure the site to tell everything to one webhook and one check on `hooks`, and return both addresses."""
    (site.home / ".env").write_text(
        f"KORRIGO_BACKUP_NOTIFY_URLS='json://127.0.0.1:{hooks.port}/hooks/{TOKEN}'\n"
        f"KORRIGO_BACKUP_HEALTHCHECKS_URL=http://127.0.0.1:{hooks.port}/ping/{TOKEN}\n"
    )
    (site.home / "korrigo-backup.toml").write_text("[notify]\ntimeout = 5\n")
    return hooks


@pytest.mark.contract("B12")
def test_a_failing_run_is_told_and_so_is_the_first_good_one_after_it(site, told):
    site.korrigo("backup", code=8, env={"POSTGRES_HOST": "/nowhere"})
    pings = [request for request in told.requests if request.path.startswith("/ping")]
    assert [request.path for request in pings] == [f"/ping/{TOKEN}/start", f"/ping/{TOKEN}/fail"]
    assert pings[0].query == pings[1].query
    assert "Backup FAILED at" in pings[1].body
    (hook,) = [request.json for request in told.requests if request.path.startswith("/hooks")]
    assert hook["title"] == "❌ Korrigo Backup FAILED"
    assert "/nowhere" in hook["message"]
    told.requests.clear()
    for titles in (["✅ Korrigo Backup OK again"], []):
        site.korrigo("backup")
        assert [request.json["title"] for request in told.requests if request.path.startswith("/hooks")] == titles
        assert [path for path in told.paths if "/ping" in path] == [f"/ping/{TOKEN}/start", f"/ping/{TOKEN}"]
        told.requests.clear()
