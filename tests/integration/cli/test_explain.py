"""Errors provoked for real: each names its id, and `explain` gives symptom, cause and next command."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from demosite import MANAGE
from sandbox import PROJECT, USER, connect

ROOT = os.geteuid() == 0
KORRIGO = Path(sys.executable).with_name("korrigo-backup")


def explained(site, text, *, env=None):
    """The ids that the pasted text of an error is recognised as, the first first."""
    done = site.korrigo("explain", "-", "--json", stdin=text, env=env)
    return [one["id"] for one in json.loads(done.out)["explanations"]]


def failed(site, *arguments, code, env=None, stdin=""):
    """Run the command, which fails; return the id that its hint names and that its pasted output is recognised as."""
    done = site.korrigo(*arguments, code=code, env=env, stdin=stdin)
    (hint,) = (line for line in done.err.splitlines() if line.startswith("hint: "))
    id_ = hint.rpartition("(korrigo-backup explain ")[2].removesuffix(")")
    assert explained(site, done.err) == [id_]
    return id_


@pytest.mark.contract("X1")
@pytest.mark.parametrize(
    ("env", "id_"),
    [
        ({"POSTGRES_PASSWORD": "wrong"}, "server.password"),
        ({"POSTGRES_DB": "nope"}, "database.missing"),
        ({"POSTGRES_PORT": "1"}, "server.silent"),
        ({"POSTGRES_HOST": "/nowhere"}, "server.silent"),
    ],
)
def test_a_server_that_cannot_be_used(site, env, id_):
    assert failed(site, "backup", code=8, env=env) == id_


@pytest.mark.contract("X1")
def test_the_words_of_postgresqls_own_clients_are_recognised(site):
    psql = str(site.server.access().client_dir / "psql")
    env = {
        "PGUSER": USER,
        "PGPASSWORD": "wrong",
        "PGHOST": site.env["POSTGRES_HOST"],
        "PGPORT": site.env["POSTGRES_PORT"],
    }
    assert explained(site, site.run([psql, "-d", "postgres"], code=2, env=env).err) == ["server.password"]
    good = env | {"PGPASSWORD": site.env["POSTGRES_PASSWORD"]}
    assert explained(site, site.run([psql, "-d", "nope"], code=2, env=good).err) == ["database.missing"]
    dump = psql.replace("psql", "pg_dump")
    assert explained(site, site.run([dump, "nope"], code=1, env=good).err) == ["database.missing"]
    assert explained(site, site.run([dump, "x"], code=1, env=good | {"PGPORT": "1"}).err) == ["server.silent"]


@pytest.mark.contract("X1")
def test_a_role_that_may_not_read_a_table(site):
    site.sql("CREATE TABLE secret (id int); REVOKE ALL ON secret FROM PUBLIC", superuser=True)
    assert failed(site, "backup", code=4) == "role.rights"


@pytest.mark.contract("X1")
def test_a_role_that_may_not_create_a_database(site):
    made = site.backup()
    with connect(site.server) as admin:
        admin.execute(f"ALTER ROLE {USER} NOCREATEDB")
        try:
            assert failed(site, "restore", made, "--yes", code=4) == "role.createdb"
        finally:
            admin.execute(f"ALTER ROLE {USER} CREATEDB")


@pytest.mark.contract("X1")
def test_a_locked_table(site):
    with site.connect() as connection:
        connection.autocommit = False
        connection.execute("LOCK TABLE exam IN ACCESS EXCLUSIVE MODE")
        env = {"PGOPTIONS": "-c lock_timeout=200"}
        psql = str(site.server.access().client_dir / "psql")
        words = site.run(
            [psql, "-v", "ON_ERROR_STOP=1", "-d", site.database, "-c", "SELECT * FROM exam"],
            code=1,
            env=env
            | {
                "PGUSER": USER,
                "PGPASSWORD": site.env["POSTGRES_PASSWORD"],
                "PGHOST": site.env["POSTGRES_HOST"],
                "PGPORT": site.env["POSTGRES_PORT"],
            },
        ).err
    assert explained(site, words) == ["table.locked"]


@pytest.mark.contract("X1")
def test_a_truncated_backup_and_a_missing_one(site):
    made = site.backup()
    whole = made.read_bytes()
    made.write_bytes(whole[: len(whole) // 2])
    assert failed(site, "restore", made, "--yes", code=9) == "artifact.damaged"
    gunzip = site.run(["gzip", "-t", str(made)], code=1).err
    assert explained(site, gunzip) == ["artifact.damaged"]
    assert failed(site, "restore", "db_backup_20990101_000000.sql.gz", "--yes", code=6) == "artifact.absent"


@pytest.mark.contract("X1")
def test_a_django_backup_without_its_manifest(site):
    site.backup()
    broken = site.backups / "korrigo_backup_20260203_120000"
    broken.mkdir(mode=0o700)
    (broken / "db_backup_20260203_120000.json").write_text("[]")
    assert (
        failed(site, "restore", broken, "--yes", code=6, env={"KORRIGO_BACKUP_MANAGE": MANAGE, "DEBUG": "1"})
        == "manifest.missing"
    )
    words = site.run([*MANAGE.split(), "restore", str(broken)], code=6, env={"DEBUG": "1"}).err
    assert explained(site, words) == ["manifest.missing"]


@pytest.mark.contract("X1")
def test_settings_that_are_missing(site):
    assert failed(site, "backup", code=2, env={"POSTGRES_HOST": None}) == "settings.missing"
    words = site.run([sys.executable, "-c", "import os; os.environ['POSTGRES_PASSWORD']"], code=1, traceback=True,
                     env={"POSTGRES_PASSWORD": None})  # fmt: skip
    assert explained(site, words.err) == ["settings.missing"]


@pytest.mark.contract("X1")
def test_a_machine_without_docker(site):
    compose = site.home / "infra" / "docker" / "docker-compose.prod.yml"
    compose.parent.mkdir(parents=True)
    compose.write_text("services: {db: {image: postgres}}")
    env = {"POSTGRES_HOST": None, "PATH": str(site.home)}
    assert failed(site, "backup", code=2, env=env) == "compose.absent"
    shell = site.run(["/bin/sh", "-c", "docker-compose ps"], code=127, env=env).err
    assert explained(site, shell) == ["compose.absent"]


@pytest.mark.contract("X1")
def test_another_run_at_work(site):
    site.backup()
    with site.wired().catalog.exclusive("test"):
        assert failed(site, "backup", code=7) == "run.locked"


@pytest.mark.contract("X1")
def test_a_script_without_its_execute_bit(site):
    script = site.home / "backup_db.sh"
    shutil.copy(PROJECT / "scripts" / "backup_db.sh", script)
    script.chmod(0o644)
    words = site.run(["sh", "-c", "./backup_db.sh"], code=126).err
    assert explained(site, words) == ["script.permission"]


@pytest.mark.contract("X1")
def test_a_full_disk(site):
    """A limit on the size of a file is the same to the program as a full disk, and needs no rights."""
    site.sql("CREATE TABLE big AS SELECT md5(n::text) || md5((n + 1)::text) AS t FROM generate_series(1, 20000) n")
    limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 200; exec "$0" "$@"', str(KORRIGO), "backup", "db"]
    words = site.run(limited, code=1).err
    assert explained(site, words) == ["disk.full"]
    record = site.journal()[-1]
    assert record["error"] == "disk.full"
    assert site.korrigo("explain", "--last").out.startswith("last error: ")
    assert "\ndisk.full\n  symptom: No space left on device" in site.korrigo("explain", "--last").out


@pytest.mark.contract("X1")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_the_words_of_gzip_on_a_full_disk(site):
    words = site.run(["sh", "-c", "echo x | gzip > /dev/full"], code=1).err
    assert explained(site, words) == ["disk.full"]


@pytest.mark.contract("X1")
def test_a_directory_that_may_not_be_written(site):
    site.backups.mkdir(mode=0o700)
    if subprocess.run(["chattr", "+i", site.backups], capture_output=True, check=False).returncode:
        pytest.skip("this user, or this file system, cannot make a directory immutable")
    try:
        assert failed(site, "backup", code=4) == "file.permission"
    finally:
        subprocess.run(["chattr", "-i", site.backups], check=True)


@pytest.mark.contract("X1")
def test_pythons_words_about_a_file_that_may_not_be_written(site):
    if ROOT:
        argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3"]
    else:
        argv = [sys.executable]
    words = site.run([*argv, "-c", "open('/etc/korrigo', 'w')"], code=1, traceback=True).err
    assert explained(site, words) == ["file.permission"]


@pytest.mark.contract("X1")
def test_manage_py_that_is_missing_and_one_that_the_kernel_kills(site):
    site.backup()
    env = {"KORRIGO_BACKUP_MANAGE": f"{sys.executable} /nowhere/manage.py"}
    assert failed(site, "backup", "full", "--method", "django", code=4, env=env) == "django.absent"
    killed = site.home / "manage.sh"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o700)
    assert (
        failed(site, "backup", "full", "--method", "django", code=1, env={"KORRIGO_BACKUP_MANAGE": str(killed)})
        == "memory.exhausted"
    )


@pytest.mark.contract("X1")
def test_a_process_without_memory(site):
    limited = ["bash", "-c", "ulimit -v 400000; exec \"$0\" -c 'x = bytearray(1 << 30)'", sys.executable]
    assert (
        explained(site, subprocess.run(limited, capture_output=True, text=True, check=False).stderr)[0]
        == "memory.exhausted"
    )


@pytest.mark.contract("X1")
def test_rows_without_their_targets_and_a_site_without_its_database(demo):
    manage = [*MANAGE.split(), "backup", "--output-dir", str(demo.backups)]
    with demo.connect(superuser=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM exams_exam WHERE id = (SELECT exam_id FROM exams_copy LIMIT 1)")
    demo.run(manage)
    artifact = demo.one("korrigo_backup_*")
    manifest = json.loads((artifact / "manifest.json").read_text())
    former = {
        name: manifest[name]
        for name in ("timestamp", "includes_media", "database_backup", "media_backup", "backup_dir")
    }
    (artifact / "manifest.json").write_text(json.dumps(former))  # as the former command wrote it: no proof
    done = demo.run([*MANAGE.split(), "restore", str(artifact), "--allow-unsigned"], code=9, stdin="yes\n")
    assert explained(demo, done.err) == ["rows.foreign_key"]
    assert failed(demo, "restore", artifact, "--yes", "--allow-unsigned", code=9) == "rows.foreign_key"
    silent = demo.run(manage, code=8, env={"POSTGRES_PORT": "1"}).err
    assert explained(demo, silent) == ["services.database"]
    outside = demo.run([*MANAGE.split(), "restore", "/tmp/backups/korrigo_backup_20260203_120000"], code=6).err
    assert explained(demo, outside) == ["artifact.outside"]


@pytest.mark.contract("X1")
def test_the_servers_own_words_about_a_foreign_key(site):
    with pytest.raises(Exception, match="foreign key") as problem:
        site.sql("DELETE FROM exam")
    assert explained(site, str(problem.value)) == ["rows.foreign_key"]


@pytest.mark.contract("X1")
def test_a_small_backup_is_explained_by_the_id_of_its_finding(site):
    made = site.backup()
    words = site.script("validate_backup.sh", made).output
    assert "Backup size < 1 MB" in words
    assert explained(site, site.korrigo("verify", made, "--json").out) == ["artifact.small"]


def test_explain_lists_all_ids_and_says_both_languages(site):
    listed = site.korrigo("explain").out
    assert "\nserver:\n" in listed
    assert "  server.password " in listed
    english, french = (site.korrigo("explain", "disk.full", "--lang", lang).out for lang in ("en", "fr"))
    assert "  cause: The file system" in english
    assert "  cause : Le système de fichiers" in french
    assert site.korrigo("explain", "disk.full", env={"LANG": "fr_FR.UTF-8"}).out == french
    assert f"df -h {site.backups}" in english
    assert "docker" not in site.korrigo("explain", "server.silent").out


def test_an_unknown_id_names_the_nearest_and_an_unknown_text_the_report(site):
    assert "did you mean disk.full" in site.korrigo("explain", "disk.ful", code=6).err
    assert "diagnose --archive" in site.korrigo("explain", "-", code=6, stdin="all is well").err
    assert "holds no error" in site.korrigo("explain", "--last", code=6).err


def test_explain_works_with_a_broken_configuration(site):
    (site.home / "korrigo-backup.toml").write_text("[nonsense\n")
    assert "exit.2" in site.korrigo("explain", "2").out


def test_the_last_error_of_the_journal_is_explained(site):
    site.sql("CREATE TABLE secret (id int); REVOKE ALL ON secret FROM PUBLIC", superuser=True)
    site.korrigo("backup", code=4)
    out = site.korrigo("explain", "--last").out
    assert out.startswith("last error: ")
    assert "backup db failed (exit 4): " in out
    assert "\nrole.rights\n  symptom: " in out


@pytest.mark.contract("X1")
@pytest.mark.parametrize(
    ("verb", "env", "code", "id_"),
    [
        (("drill",), {"POSTGRES_PASSWORD": "wrong"}, 8, "server.password"),
        (("compare", "latest"), {"POSTGRES_PASSWORD": "wrong"}, 8, "server.password"),
        (("show", "no_such_backup"), {}, 6, "artifact.absent"),
        (("drill",), {"POSTGRES_PORT": "abc"}, 2, "exit.2"),
        (("drill", "--place", "compose"), {}, 4, "exit.4"),
    ],
)
def test_the_last_failure_of_each_verb_is_explained(site, verb, env, code, id_):
    site.backup()
    site.korrigo(*verb, code=code, env=env)
    site.korrigo("explain", "no such id", code=6)
    site.korrigo("status", code=(0, 10))
    out = site.korrigo("explain", "--last", env=env).out
    assert f"{verb[0]} failed (exit {code}): " in out
    assert f"\n{id_}\n  symptom: " in out
    elsewhere = site.run(["sh", "-c", 'cd / && exec "$@"', "sh", str(KORRIGO), "explain", "--last"], code=6)
    assert "no command has failed here" in elsewhere.err


@pytest.mark.promise("P7")
def test_the_file_of_failures_is_private_and_holds_no_secret(site):
    secret = site.env["POSTGRES_PASSWORD"]
    site.korrigo("show", secret, code=6)
    file = site.home / ".local" / "state" / "korrigo-backup" / "failures.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert secret not in file.read_text()
    file.write_text("[{")
    assert "no command has failed here" in site.korrigo("explain", "--last", code=6).err
    site.korrigo("show", "no_such_backup", code=6)
    assert "show failed (exit 6)" in site.korrigo("explain", "--last").out


def test_a_later_run_of_the_journal_is_the_last_error(site):
    site.backup()
    site.korrigo("show", "no_such_backup", code=6)
    site.korrigo("nightly", code=8, env={"POSTGRES_PASSWORD": "wrong"})
    assert "nightly db failed (exit 8)" in site.korrigo("explain", "--last").out


@pytest.mark.contract("X1")
@pytest.mark.parametrize("verb", ["backup", "nightly"])
def test_a_backup_that_never_reached_the_site_is_in_the_journal_and_explained(site, verb):
    site.backup()
    site.korrigo(verb, code=8, env={"POSTGRES_PASSWORD": "wrong"})
    record = site.journal()[-1]
    assert (record["verb"], record["outcome"], record["exit_code"], record["error"]) == (
        verb,
        "failed",
        8,
        "server.password",
    )
    assert "\nserver.password\n" in site.korrigo("explain", "--last").out
    site.korrigo("restore", "no_such_backup", code=6)
    assert site.journal()[-1]["verb"] == verb


@pytest.mark.contract("X1")
def test_the_failed_check_of_doctor_and_status_is_explained(site):
    assert failed(site, "doctor", code=10, env={"POSTGRES_PASSWORD": "wrong"}) == "database.reachable"
    assert failed(site, "status", code=10) == "status.directory"


def test_a_group_is_listed_and_an_id_may_be_typed_in_capitals(site):
    listed = site.korrigo("explain", "disk").out.splitlines()
    assert [line.split()[0] for line in listed] == ["disk:", "disk.fault", "disk.full", "disk.read_only"]
    assert site.korrigo("explain", "DISK.FULL").out == site.korrigo("explain", "disk.full").out
    assert site.korrigo("explain", "Permission denied").out.startswith("file.permission\n")
