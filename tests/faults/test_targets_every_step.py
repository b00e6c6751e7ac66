"""Kill -9 at every effect of a copy, a fetch and a prune on a target: files, processes, and requests to the server.

Afterwards no receipt there names a file that is missing, the backups here are whole, and the next run needs no hands.
"""

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime, timedelta

import pyrage
import pytest

import steps
from targetservers import SshServer, s3_server, ssh_server

TINY = "CREATE TABLE exam (id int)"
ALL = bool(os.environ.get("KORRIGO_TEST_FAULTS"))
"""Whether every effect is visited (`make test-faults`), or some."""

SOME = 6
OVER_SSH = 25
"""Effects that `make test-faults` visits of a run over SSH: each command there waits for connections and for a disk."""


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def ssh(tmp_path_factory):
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


class Remote:
    """A site with a restore point in the media store, and a target with a new place for each case."""

    def __init__(self, site, server, seals):
        self.site = site
        self.server = server
        self.place = server.data
        self.key = site.home / "holder.key"
        made = pyrage.x25519.Identity.generate()
        self.key.write_text(f"{made}\n")
        self.seal = f'recipients = ["{made.to_public()}"]' if seals else "seal = false"
        self.identity = ("--identity", str(self.key)) if seals else ()

    def use(self, case):
        """Let the target be an empty place, of which this host knows nothing."""
        name = f"{self.site.database}/{case}"
        self.place = self.server.data / name
        if hasattr(self.server, "endpoint"):
            target = f'url = "s3://{self.server.bucket}/{name}"\nendpoint = "{self.server.endpoint}"'
            lines = [f"{key}={value}\n" for key, value in self.server.env.items()]
            (self.site.home / "korrigo-backup.env").write_text("".join(lines))
        else:
            words = json.dumps(list(self.server.words))
            target = f'url = "ssh://127.0.0.1:{self.server.port}{self.place}"\nssh = {words}'
        (self.site.home / "korrigo-backup.toml").write_text(
            f"[media]\nstore = true\n[targets.there]\n{target}\n{self.seal}\nmay_delete = true\n"
        )
        for path in self.site.backups.glob(".*-there*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def go(self, *arguments, **options):
        ran = steps.run(self.site, *arguments, requests=True, **options)
        assert "Traceback" not in ran.output, ran.output
        return ran

    def require_go(self, case, *arguments):
        ran = self.go(*arguments)
        assert ran.code == 0, f"{case}: {ran.output}"
        return ran

    def require_receipts_true(self, case):
        """Every receipt there names files that are there, with the content that it names."""
        for receipt in self.place.rglob("*.receipt.json"):
            for one in json.loads(receipt.read_text())["objects"]:
                path = receipt.parent / one["name"]
                assert path.exists(), f"{case}: {receipt.name} names {one['name']}"
                assert hashlib.sha256(path.read_bytes()).hexdigest() == one["sha256"], f"{case}: {one['name']}"


@pytest.fixture(params=["s3", "s3 sealed", *(["ssh"] if ALL else [])])
def remote(request, make_site):
    site = make_site(schema=TINY)
    for number in range(3):
        site.write(f"scans/{number}.pdf", b"scan %d" % number)
    kind, _, sealed = request.param.partition(" ")
    found = Remote(site, request.getfixturevalue(kind), bool(sealed))
    found.use("first")
    site.korrigo("backup", "full")
    return found


def content(directory):
    """Return the files of the backup directory, without what this host notes about targets and runs."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file() and not str(path.relative_to(directory)).startswith(".")
    }


def cases(remote, effects):
    some = (OVER_SSH if isinstance(remote.server, SshServer) else len(effects)) if ALL else SOME
    for number in range(1, len(effects) + 1, max(1, len(effects) // some)):
        yield number, f"killed at {number} of {len(effects)}, {effects[number - 1]}"


@pytest.mark.promise("P2", "P3")
def test_a_copy_that_is_killed_at_any_effect_is_finished_by_the_next(remote):
    before = content(remote.site.backups)
    effects = remote.require_go("whole", "copy").effects
    assert len(effects) > 40
    for number, case in cases(remote, effects):
        remote.use(number)
        ran = remote.go("copy", triggers={number: "kill"})
        assert ran.killed or number > len(ran.effects), case
        remote.require_receipts_true(case)
        assert content(remote.site.backups) == before, case
        remote.require_go(case, "copy")
        remote.require_receipts_true(case)
        assert len(list(remote.place.rglob("*.receipt.json"))) == 3, case
        assert not list(remote.site.backups.glob(".copying-*")), case
        remote.require_go(case, "verify", "--on", "there", "all", *remote.identity)


@pytest.mark.promise("P2", "P3")
def test_a_fetch_that_is_killed_at_any_effect_leaves_no_backup_that_lacks_a_file(remote):
    remote.require_go("whole", "copy")
    fetch = ("fetch", "there", "latest-point", *remote.identity)
    before = content(remote.site.backups)

    def forget():
        for path in remote.site.backups.iterdir():
            if path.name.startswith((".copies", ".site", ".journal")):
                continue
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    forget()
    effects = remote.require_go("whole", *fetch).effects
    for number, case in cases(remote, effects):
        forget()
        ran = remote.go(*fetch, triggers={number: "kill"})
        assert ran.killed or number > len(ran.effects), case
        for one in remote.site.json("list")["items"]:
            remote.require_go(case, "verify", one["name"], "--depth", "content")
        remote.require_go(case, *fetch)
        for name, digest in content(remote.site.backups).items():
            assert before.get(name, digest) == digest, f"{case}: {name}"
        remote.require_go(case, "verify", "latest-point", "--depth", "content")


@pytest.mark.promise("P2", "P3")
def test_a_prune_on_a_target_that_is_killed_at_any_effect_leaves_whole_copies_alone(remote):
    site = remote.site
    old = site.aged(site.one("db_backup_2*.sql.gz"), 100).name
    with (site.backups / ".journal.jsonl").open("a") as journal:
        for day in range(1, 100, 5):
            started = (datetime.now(UTC) - timedelta(days=day)).isoformat()
            line = {"id": f"r{day}", "verb": "verify", "subject": "x", "site": "korrigo", "by": "test",
                    "outcome": "done", "started": started, "exit_code": 0}  # fmt: skip
            journal.write(json.dumps(line) + "\n")
    prune = ("prune", "--on", "there", "--apply")
    remote.use("whole")
    remote.require_go("whole", "copy")
    effects = remote.require_go("whole", *prune).effects
    for number, case in cases(remote, effects):
        remote.use(f"prune-{number}")
        remote.require_go(case, "copy")
        remote.go(*prune, triggers={number: "kill"})
        remote.require_receipts_true(case)
        remote.require_go(case, *prune)
        marks = site.backups / ".unnamed-there.json"
        past = (datetime.now(UTC) - timedelta(days=3)).isoformat()
        found = json.loads(marks.read_text())
        marks.write_text(json.dumps(found | {"unnamed": dict.fromkeys(found["unnamed"], past)}))
        remote.require_go(case, *prune)
        remote.require_receipts_true(case)
        assert not [path for path in remote.place.rglob("*") if path.is_file() and old in path.name], case
        remote.require_go(case, "copy")
        remote.require_go(case, "verify", "--on", "there", "all", *remote.identity)
