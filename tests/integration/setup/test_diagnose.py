"""The report for whoever is asked to help, and the checks, on a real database."""

import json
import stat

import pytest

CANARY = "canary-0f3a9b-of-a-password"


@pytest.mark.contract("X2")
@pytest.mark.promise("P7")
def test_diagnose_reports_the_state_without_secrets_or_statements(site):
    site.backup()
    (site.home / ".env").write_text(f"DJANGO_SECRET_KEY={CANARY}\nSENTRY_DSN=https://{CANARY}@example.org/1\nDEBUG=0\n")
    (site.home / "korrigo-backup.toml").write_text(
        '[[contacts.people]]\nrole = "DBA"\ncontact = "dba@example.com"\nscope = "< 4h"\n'
    )
    with site.connect() as connection:
        connection.execute("SET application_name = 'the site'")
        connection.execute("SELECT 'a pupil''s name'")
        report = site.korrigo("diagnose").out
    assert report.startswith("=== DIAGNOSTIC REPORT ===\nDate: ")
    for part in ("1. Versions", "3. Disk space", "4. Database status", "6. Environment variables", "9. Journal"):
        assert part in report
    assert "the site: idle SELECT" in report
    assert "a pupil" not in report
    assert "table public.copy: " in report
    assert "backup db: done (exit 0)" in report
    assert "DEBUG=0" in report
    assert "DJANGO_SECRET_KEY=***" in report
    assert "DBA: dba@example.com (< 4h)" in report
    assert CANARY not in report
    assert site.env["POSTGRES_PASSWORD"] not in report


@pytest.mark.promise("P7")
def test_the_parts_of_a_secret_are_taken_out_too(site):
    site.backup()
    key = "-----BEGIN KEY-----\nMC4CAQAwBQYDK2Vw\n-----END KEY-----"
    env = {"DATABASE_URL": f"postgres://app:{CANARY}%21@db.example.org/app", "SIGNING_KEY": key}
    with site.connect() as connection:
        for name in (f"{CANARY}!", "MC4CAQAwBQYDK2Vw"):  # as a log has them: without the rest
            connection.execute(f'CREATE TABLE "{name}" (id int)')
        report = site.korrigo("diagnose", env=env).out
    assert "table public.copy: " in report
    assert CANARY not in report
    assert "MC4CAQAwBQYDK2Vw" not in report


@pytest.mark.contract("X2")
def test_diagnose_of_an_unreachable_database_reports_the_error_and_continues(site):
    report = site.korrigo("diagnose", env={"POSTGRES_PASSWORD": "wrong"}).out
    assert "unknown: " in report
    assert "password authentication failed" in report
    assert "10. Contacts:" in report


def test_a_report_in_a_file_is_private_and_replaces_nothing(site):
    site.korrigo("diagnose", "--output", "report.txt")
    file = site.home / "report.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "exists already" in site.korrigo("diagnose", "--output", "report.txt", code=2).err
    assert "DIAGNOSTIC" in file.read_text()


@pytest.mark.contract("C4")
def test_the_doctor_ends_with_ten_when_something_is_missing(site):
    assert "✅ No prerequisite is missing" in site.korrigo("doctor").out
    ill = site.korrigo("doctor", code=10, env={"POSTGRES_PASSWORD": "wrong"})
    assert "checks failed" in ill.err
    document = json.loads(site.korrigo("doctor", "--json", code=10, env={"POSTGRES_PASSWORD": "wrong"}).out)
    assert document["passed"] is False
    assert {"id", "level", "message", "hint"} <= document["findings"][0].keys()
