"""What surrounds a run fails: server, disk, rights. A message, an exit code, and nothing changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from korrigo_backup.postgres.throwaway import ThrowawayServer
from sandbox import USER, USER_PASSWORD, connect, nothing_changes, quoted, until
from servers import bindir

ROOT = os.geteuid() == 0


@pytest.mark.contract("X1")
@pytest.mark.parametrize(
    ("env", "cause", "hint"),
    [
        ({"POSTGRES_PASSWORD": "wr0ng-pa55"}, "password authentication failed", "POSTGRES_PASSWORD"),
        ({"POSTGRES_PASSWORD": ""}, "no password supplied", "POSTGRES_PASSWORD"),
        ({"POSTGRES_USER": "nobody_here"}, "nobody_here", "POSTGRES_USER"),
        ({"POSTGRES_HOST": "/nowhere"}, "No such file or directory", "POSTGRES_HOST"),
        ({"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1"}, "Connection refused", "POSTGRES_PORT"),
        ({"POSTGRES_DB": "absent"}, 'database "absent" does not exist', "POSTGRES_DB"),
    ],
)
def test_backup_exits_with_8_and_names_the_wrong_variable_if_the_connection_fails(site, env, cause, hint):
    with nothing_changes(site):
        done = site.korrigo("backup", "db", code=8, env=env)
    assert cause in done.err
    assert hint in done.err.partition("hint: ")[2].partition("\n")[0]
    assert "state: nothing was changed" in done.err
    assert "wr0ng-pa55" not in done.output
    assert done.out == ""


@pytest.mark.contract("X1")
def test_a_restore_that_cannot_reach_the_database_ends_with_8(site):
    made = site.backup()
    with nothing_changes(site):
        done = site.korrigo("restore", made, "--yes", code=8, env={"POSTGRES_PASSWORD": "wr0ng-pa55"})
    assert "password authentication failed" in done.err


def test_a_site_that_is_nowhere_is_a_usage_error(site):
    done = site.korrigo("backup", "db", code=2, env={"POSTGRES_HOST": None})
    assert "POSTGRES_HOST is not set" in done.err


def test_clients_that_are_not_there_are_named(site):
    done = site.korrigo("backup", "db", code=2, env={"KORRIGO_BACKUP_CLIENT_DIR": "/nowhere/bin"})
    assert "cannot run /nowhere/bin/psql" in done.err


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", place]
    if not (ROOT and shutil.which("mount")) or subprocess.run(mount, check=False).returncode:
        pytest.skip("this user may not mount a small file system")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.contract("C4")
def test_a_backup_for_which_there_is_no_room_is_refused_before_it_begins(site, small_disk):
    backups = small_disk / "backups"
    with nothing_changes(site):
        done = site.korrigo("backup", "db", code=4, env={"BACKUP_DIR": str(backups)})
    assert f"not enough space in {backups}" in done.err
    records = {path.name for path in backups.glob(".site-*.json")}
    assert len(records) == 1
    assert {path.name for path in backups.iterdir()} == {".lock", ".journal.jsonl", *records}


@pytest.mark.promise("P3")
def test_a_disk_that_fills_up_during_a_backup_leaves_no_backup(site):
    """A limit on the size of a file is the same to the program as a full disk, and needs no rights."""
    site.sql("CREATE TABLE big AS SELECT md5(n::text) || md5((n + 1)::text) AS t FROM generate_series(1, 20000) n")
    with nothing_changes(site):
        done = _limited(site, "backup", "db")
    assert done.returncode == 1
    assert "cannot write the backup" in done.stderr.decode()
    assert "make room" in done.stderr.decode()
    assert site.hidden() == set()


@pytest.mark.promise("P2")
def test_a_disk_that_fills_up_during_a_media_restore_leaves_the_old_tree(site):
    site.write("large.bin", os.urandom(500_000))
    made = site.backup_media()
    site.write("large.bin", b"changed")
    with nothing_changes(site):
        done = _limited(site, "restore", str(made), "--yes")
    assert done.returncode == 1, done
    assert "rolled back" in done.stderr.decode()
    assert not list(site.media.glob(".stage*"))


def _limited(site, *arguments):
    program = Path(sys.executable).parent / "korrigo-backup"
    argv = ["bash", "-c", 'trap "" XFSZ; ulimit -f 200; exec "$0" "$@"', program, *arguments]  # 200 KiB a file
    return subprocess.run(argv, env=site.env, cwd=site.home, capture_output=True, check=False)


def _as_nobody(site, *arguments):
    """The command as a user without rights; through our own Python, which that user may read."""
    code = "from korrigo_backup.cli.main import run; run()"
    argv = [sys.executable, "-c", code, *map(str, arguments)]
    if ROOT:
        argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *argv]
    return subprocess.run(argv, env=site.env | {"HOME": "/"}, cwd="/", capture_output=True, check=False)


@pytest.fixture
def reachable(site):
    """Let another user walk to the site's directory (tmp_path and above are private)."""
    if not ROOT:
        yield site
        return
    probe = _as_nobody(site, "--version")
    if probe.returncode:
        pytest.skip("another user cannot run this Python")
    opened = []
    for path in [site.home, *site.home.parents]:
        mode = path.stat().st_mode
        if not mode & 0o001:
            opened.append((path, mode))
            path.chmod(mode | 0o011)
    if site.server.access().host.startswith("/tmp"):
        for path in Path(site.server.access().host).iterdir():
            opened.append((path, path.stat().st_mode))
            path.chmod(0o777)
        opened.append((path.parent, path.parent.stat().st_mode))
        path.parent.chmod(0o755)
    yield site
    for path, mode in opened:
        if path.exists():
            path.chmod(mode & 0o7777)


@pytest.mark.contract("C4")
def test_a_backup_directory_that_may_not_be_written_is_refused(reachable):
    reachable.backups.mkdir(mode=0o755)
    if not ROOT:
        reachable.backups.chmod(0o555)
    done = _as_nobody(reachable, "backup", "db")
    assert done.returncode == 4, done
    output = done.stderr.decode()
    assert f"cannot use the backup directory {reachable.backups}: Permission denied" in output
    assert "hint: run as the user who owns it, or change its owner or mode" in output
    assert "Traceback" not in output


def test_a_project_directory_that_may_not_be_written_gets_no_configuration(reachable):
    if not ROOT:
        reachable.home.chmod(0o555)
    done = _as_nobody(reachable, "init", "--directory", reachable.home)
    reachable.home.chmod(0o755)
    assert done.returncode == 4, done
    assert "cannot write korrigo-backup.toml: Permission denied" in done.stderr.decode()
    assert not list(reachable.home.glob("*korrigo-backup.toml*"))


def test_init_names_a_project_directory_that_it_may_not_enter(reachable):
    (reachable.home / "backend").mkdir(mode=0o700)
    if not ROOT:
        (reachable.home / "backend").chmod(0)
    done = _as_nobody(reachable, "init", "--dry-run", "--directory", reachable.home)
    (reachable.home / "backend").chmod(0o700)
    assert done.returncode == 4, done
    assert f"cannot look at the project: Permission denied: {reachable.home}/backend" in done.stderr.decode()


def test_a_media_root_that_may_not_be_written_is_refused_and_stays(reachable):
    site = reachable
    made = site.backup_media()
    site.write("late.pdf", b"late")
    subprocess.run(["chown", "-R", "65534:65534", site.backups], check=True) if ROOT else None
    site.media.chmod(0o555)
    before = site.tree()
    done = _as_nobody(site, "restore", made, "--yes", "--allow-unsigned")
    site.media.chmod(0o755)
    assert done.returncode == 4, done
    assert f"this user may not write in {site.media}" in done.stderr.decode()
    assert site.tree() == before


@pytest.mark.promise("P2")
def test_restore_and_plan_refuse_a_role_that_may_not_create_databases(make_site):
    site = make_site()
    made = site.backup()
    with connect(site.server) as admin:
        admin.execute(f"ALTER ROLE {USER} NOCREATEDB")
    try:
        with nothing_changes(site):
            done = site.korrigo("restore", made, "--yes", code=4)
            plan = site.korrigo("plan", made, code=4)
    finally:
        with connect(site.server) as admin:
            admin.execute(f"ALTER ROLE {USER} CREATEDB")
    assert "role viatique_user may not create databases" in done.err
    assert 'ALTER ROLE "viatique_user" CREATEDB' in done.err
    assert "role viatique_user may not create databases" in plan.output


@pytest.fixture
def pg_dump_that(site, tmp_path):
    """Return a function that puts a pg_dump with a fault before the real one."""

    def make(shell):
        place = tmp_path / "clients"
        place.mkdir()
        real = site.server.access().client_dir
        for program in ("psql", "pg_dump"):
            (place / program).write_text(f'#!/bin/sh\nexec "{real}/{program}" "$@"\n')
        (place / "pg_dump").write_text(f"#!/bin/bash\nreal() {{ '{real}/pg_dump' \"$@\"; }}\n{shell}\n")
        for program in place.iterdir():
            program.chmod(0o755)
        return {"KORRIGO_BACKUP_CLIENT_DIR": str(place)}

    return make


@pytest.mark.promise("P1")
@pytest.mark.promise("P3")
@pytest.mark.contract("T12")
@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ('real "$@" | head -c 3000; exit 0', 9, "its end mark is missing"),
        ("exit 0", 9, "its end mark is missing"),
        ('real "$@" | sed "/^exam 7/d; /\\texam 7\\t/d"', 9, "public.exam: 20 rows in the snapshot, 19 in the dump"),
        ('real "$@" | head -c 3000; echo "pg_dump: error: out of luck" >&2; exit 1', 1, "out of luck"),
        ('real "$@" --exclude-table-data=exam', 9, "public.exam"),
        ("kill -9 $$", 1, "SIGKILL"),
    ],
)
def test_a_pg_dump_that_does_not_write_all_makes_no_backup(site, pg_dump_that, fault, code, words):
    env = pg_dump_that(fault)
    with nothing_changes(site):
        done = site.korrigo("backup", "db", code=code, env=env)
    assert words in done.err
    assert "✅" not in done.out
    assert site.hidden() == set()


@pytest.mark.promise("P3")
def test_a_server_that_stops_in_the_middle_of_a_dump_makes_no_backup(tmp_path, make_site, monkeypatch):
    with ThrowawayServer(bindir()) as own:
        with connect(own) as admin:
            admin.execute(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{USER_PASSWORD}'")
        site = make_site(schema="")
        site.server = own
        with connect(own) as admin:
            admin.execute(f"CREATE DATABASE {quoted(site.database)} OWNER {USER}")
        site.sql("CREATE TABLE big AS SELECT n, repeat(md5(n::text), 20) t FROM generate_series(1, 200000) n")
        with site.started("backup", "db") as child:
            until(lambda: list(site.backups.glob(".partial-*/*.sql.gz")))
            own.__exit__(None, None, None)
            out, err = child.communicate(timeout=30)
    assert child.returncode == 8, err.decode()
    assert "hint: " in err.decode()
    assert "✅" not in out.decode()
    assert site.published() == set()
    assert site.hidden() == set()


@pytest.mark.parametrize("locked", ["exam", "copy"])
def test_a_table_that_someone_holds_is_named_and_not_waited_for(site, pg_dump_that, locked):
    """The wait is 60 s; the clients of this test give it 1 s. A view stands over `copy`, none over `exam`."""
    env = pg_dump_that('real "${@/--lock-wait-timeout=60s/--lock-wait-timeout=1s}"')
    psql = Path(env["KORRIGO_BACKUP_CLIENT_DIR"]) / "psql"
    psql.write_text(psql.read_text().replace("exec", 'PGOPTIONS=$(echo "$PGOPTIONS" | sed "s/=60s/=1s/") exec'))
    with site.connect() as holder, holder.transaction():
        holder.execute(f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE")
        pid = holder.info.backend_pid
        done = site.korrigo("backup", "db", "--no-digests", code=1, env=env, timeout=30)
    assert "lock timeout" in done.err
    assert f"process {pid} (viatique_user, -) has locked public.{locked} since" in done.err
    assert "see pg_locks" in done.err
    assert site.published() == set()
