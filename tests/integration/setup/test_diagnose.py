"""The report for whoever is asked to help, and the checks, on a real database."""

import json
import stat
import tarfile

import pytest

from sandbox import KORRIGO

CANARY = "canary-0f3a9b-of-a-password"


def unpacked(file):
    """The texts of an archive by name; each is for its owner alone."""
    found = {}
    with tarfile.open(file) as tar:
        for one in tar.getmembers():
            assert one.mode == 0o600
            content = tar.extractfile(one)
            assert content
            found[one.name.rpartition("/")[2]] = content.read().decode()
    return found


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


@pytest.mark.contract("X2")
@pytest.mark.promise("P7")
def test_an_archive_to_send_is_private_and_holds_no_secret_of_env(site):
    site.backup()
    names = (
        "DJANGO_SECRET_KEY",
        "EMAIL_HOST_PASSWORD",
        "SENTRY_DSN",
        "REDIS_URL",
        "API_TOKEN",
        "SMTP_PWD",
        "AUTH_SALT",
    )
    secrets = {name: f"canary-{number}-{CANARY}" for number, name in enumerate(names)}
    values = {**secrets, "REDIS_URL": f"redis://:{secrets['REDIS_URL']}@redis:6379/0", "DEBUG": "0"}
    (site.home / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    (site.home / "korrigo-backup.toml").write_text(
        '[[contacts.people]]\nrole = "DBA"\nname = "Mme Durand"\nphone = "+33 1"\nmail = "dba@example.com"\nscope = "< 4h"\n'
    )
    for secret in secrets.values():  # as an error that quotes it would
        site.korrigo("verify", secret, code=6)
        site.korrigo("restore", secret, "--yes", code=6)
    with site.connect() as connection:
        connection.execute(f"SET application_name = '{secrets['API_TOKEN']}'")
        done = site.korrigo("diagnose", "--archive", "help.tar.gz")
    assert "DBA: Mme Durand · +33 1 · dba@example.com (< 4h)" in done.out
    file = site.home / "help.tar.gz"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    texts = unpacked(file)
    assert set(texts) == {"report.txt", "journal.jsonl", "doctor.json", "versions.txt", "directory.txt"}
    assert " ***: idle " in texts["report.txt"]
    assert json.loads(texts["journal.jsonl"].splitlines()[0])["verb"] == "backup"
    assert {"id", "level", "message", "hint"} <= json.loads(texts["doctor.json"])[0].keys()
    assert "psycopg " in texts["versions.txt"]
    assert "db_backup_" in texts["directory.txt"]
    whole = "".join(texts.values())
    assert [secret for secret in (*secrets.values(), CANARY, site.env["POSTGRES_PASSWORD"]) if secret in whole] == []


@pytest.mark.contract("X2")
def test_an_archive_of_a_site_whose_database_is_away_holds_all_the_rest(site):
    site.korrigo("diagnose", "--archive", "help.tar.gz", env={"POSTGRES_PORT": "1"})
    texts = unpacked(site.home / "help.tar.gz")
    assert len(texts) == 5
    assert "unknown: the connection to " in texts["report.txt"] or "unknown: cannot use " in texts["report.txt"]
    assert "exclude each other" in site.korrigo("diagnose", "--archive", "a", "--output", "b", code=2).err


@pytest.mark.contract("X2")
def test_the_working_directory_and_the_paths_of_files_are_no_secrets(site):
    env = {"PWD": str(site.home), "POSTGRES_PASSWORD_FILE": str(site.home)}
    (line,) = (line for line in site.korrigo("diagnose", env=env).out.splitlines() if "BACKUP_DIR=" in line)
    assert line.strip() == f"BACKUP_DIR={site.backups}"


def test_a_report_that_finds_no_room_leaves_no_file(site, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    limited = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", str(KORRIGO), "diagnose", "--archive"]
    site.run([*limited, str(place / "help.tar.gz")], code=1)
    assert list(place.iterdir()) == []


@pytest.mark.contract("X2")
@pytest.mark.parametrize("fault", ["toml", "value", "key"])
def test_an_archive_is_made_without_a_usable_configuration_and_says_so(site, fault):
    site.backup()
    env = {}
    if fault == "toml":
        (site.home / "korrigo-backup.toml").write_text("[nonsense\n")
    elif fault == "value":
        env = {"POSTGRES_PORT": "abc"}
    else:
        (site.home / ".config" / "korrigo-backup" / "key").chmod(0o644)
    site.korrigo("drill", code=(2, 4), env=env)
    done = site.korrigo("diagnose", "--archive", "help.tar.gz", env=env)
    assert "warning: the configuration cannot be used: " in done.err
    texts = unpacked(site.home / "help.tar.gz")
    assert "Configuration: cannot be used: " in texts["report.txt"]
    assert " drill (exit " in texts["report.txt"]
    assert "db_backup_" in texts["directory.txt"]
    assert site.env["POSTGRES_PASSWORD"] not in "".join(texts.values())
