"""Kill -9 at the effects of a drill on a staging server: `doctor` lists what stays, the next run removes all of it."""

import os

import pytest

import steps
from sandbox import USER, USER_PASSWORD, connect

ALL = bool(os.environ.get("KORRIGO_TEST_FAULTS"))
"""Whether every effect is visited (`make test-faults`), or some."""

SOME = 10
KEPT = (".journal.jsonl", ".lock")


@pytest.fixture
def staged(make_site):
    site = make_site(schema="CREATE TABLE exam (id int); INSERT INTO exam VALUES (1), (2)")
    access = site.server.access()
    site.staging = f"{site.database}_staging"
    (site.home / "korrigo-backup.toml").write_text(
        f'[staging]\nhost = "{access.host}"\nport = {access.port}\nname = "{site.staging}"\nuser = "{USER}"\n'
    )
    secrets = site.home / "korrigo-backup.env"
    secrets.write_text(f"KORRIGO_BACKUP_STAGING_PASSWORD={USER_PASSWORD}\n")
    secrets.chmod(0o600)
    site.write("scans/1.pdf", b"scan")
    site.korrigo("backup", "full")
    site.korrigo("drill", "--place", "staging")
    return site


def listed(site):
    """Return all that a drill can leave: databases, roles, files of the backup directory, its clients."""
    with connect(site.server) as admin:
        roles = [row[0] for row in admin.execute("SELECT rolname FROM pg_roles ORDER BY 1")]
    files = sorted(str(path.relative_to(site.backups)) for path in site.backups.rglob("*"))
    return site.databases(), roles, [name for name in files if name not in KEPT]


def rows(site):
    with connect(site.server, site.staging) as staging:
        return staging.execute("SELECT count(*) FROM exam").fetchone()[0]


@pytest.mark.contract("D1")
@pytest.mark.promise("P3", "P10")
def test_what_a_drill_on_staging_that_is_killed_leaves_is_listed_and_removed_by_the_next(staged):
    before = listed(staged)
    drill = ("drill", "latest-point", "--place", "staging")
    effects = steps.run(staged, *drill).effects
    assert len(effects) > SOME
    found = set()
    for number in range(1, len(effects) + 1, 1 if ALL else len(effects) // SOME):
        case = f"killed at {number} of {len(effects)}, {effects[number - 1]}"
        killed = steps.run(staged, *drill, triggers={number: "kill"})
        if not killed.killed:
            continue
        left = {name for name in listed(staged)[0] if name not in before[0]}
        found |= {bool(left)}
        findings = staged.json("doctor", code=(0, 10))["findings"]
        named = " ".join(one["message"] for one in findings if one["id"] == "recover.left")
        assert all(name in named for name in left if name.startswith(f"{staged.staging}_stage_")), case
        again = steps.run(staged, *drill)
        assert again.code == 0, f"{case}: {again.output}"
        assert listed(staged) == before, case
        assert rows(staged) == 2, case
    assert found == {True, False}


@pytest.mark.promise("P2")
def test_an_anonymised_copy_on_staging_killed_at_any_effect_shows_no_original_value(staged):
    before = listed(staged)[0]
    staged.sql("ALTER TABLE exam ADD email text; UPDATE exam SET email = 'pupil' || id || '@lycee.example'")
    staged.korrigo("backup", "db")
    rules = staged.home / "rules.toml"
    rules.write_text('[tables.exam]\nemail = "hash"\n')
    drill = ("drill", "--place", "staging", "--anonymise", rules)
    effects = steps.run(staged, *drill).effects
    kept = set()
    for number in sorted({*range(1, len(effects) + 1, 1 if ALL else len(effects) // 4), len(effects) - 1}):
        case = f"killed at {number} of {len(effects)}, {effects[number - 1]}"
        assert steps.run(staged, *drill, triggers={number: "kill"}).killed, case
        if staged.staging in listed(staged)[0]:
            with connect(staged.server, staged.staging) as staging:
                emails = {email for (email,) in staging.execute("SELECT email FROM exam")}
            assert not any("lycee" in email for email in emails), case
            kept.add(len(emails))
    assert kept == {2}
    again = steps.run(staged, *drill)
    assert again.code == 0, again.output
    assert listed(staged)[0] == before


def test_doctor_removes_what_a_killed_drill_has_left_on_staging_and_asks_no_server_that_is_down(staged):
    before = listed(staged)
    with connect(staged.server) as admin:
        admin.execute(f'CREATE DATABASE "{staged.staging}_stage_20260101_020304" OWNER {USER}')
    document = staged.json("doctor", code=(0, 10))
    assert "recover.left" in document["mendable"]
    fixed = staged.json("doctor", "--fix", code=(0, 3, 10))
    assert any(f"{staged.staging}_stage_20260101_020304" in line for line in fixed["mended"])
    assert listed(staged)[0] == before[0]
    toml = staged.home / "korrigo-backup.toml"
    toml.write_text(toml.read_text().replace("port = ", "port = 1 # "))
    assert "recover.left" not in str(staged.json("doctor", code=(0, 10))["findings"])
