"""While fifty clients write: a restore point holds one moment, and a restore of it is that moment exactly."""

import json
import subprocess
import tarfile
import threading
from contextlib import ExitStack, contextmanager

import pytest

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.backup.backup import BackupOptions, dump
from sandbox import _rows, until
from servers import bindir

CLIENTS = 50
UPLOADS = "CREATE TABLE upload (id serial PRIMARY KEY, path text NOT NULL)"
COLUMNS = '[media]\ncolumns = ["upload.path"]\n'
BALANCES = """
SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
       (SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history)
"""


def pgbench(site, *arguments):
    program = bindir() / "pgbench"
    if not program.exists():
        pytest.skip(f"there is no {program}")
    env = {"PGHOST": site.env["POSTGRES_HOST"], "PGUSER": site.env["POSTGRES_USER"], "PGDATABASE": site.database}
    env["PGPASSWORD"] = site.env["POSTGRES_PASSWORD"]
    return subprocess.Popen([program, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture
def site(make_site):
    made = make_site(schema=UPLOADS)
    (made.home / "korrigo-backup.toml").write_text(COLUMNS)
    with pgbench(made, "--initialize", "--quiet", "--scale=1") as begun:
        assert begun.wait(120) == 0, begun.stdout.read()
    return made


@contextmanager
def busy(site):
    """Fifty clients move money between tables; one uploads: the file first, then the row that names it, as Django does."""
    stop = threading.Event()
    uploaded: list[str] = []

    def upload():
        with site.connect() as connection:
            while not stop.is_set():
                path = f"up/{len(uploaded)}.pdf"
                site.write(path, path.encode())
                connection.execute("INSERT INTO upload (path) VALUES (%s)", [path])
                uploaded.append(path)

    with ExitStack() as stack:
        clients = stack.enter_context(pgbench(site, f"--client={CLIENTS}", "--time=600", "--no-vacuum"))
        stack.callback(clients.kill)
        thread = threading.Thread(target=upload)
        thread.start()
        stack.callback(thread.join)
        stack.callback(stop.set)
        until(lambda: len(uploaded) > 5 and site.sql("SELECT count(*) FROM pgbench_history")[0][0] > CLIENTS, 60)
        yield clients
        assert clients.poll() is None, clients.stdout.read()


def rows_in(site, snapshot):
    """Every table's checksum as an independent client sees it in the very snapshot that is dumped."""
    with site.connect(superuser=True) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot.id}'")
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        found = {name: _rows(connection, name) for (name,) in names.fetchall()}
        connection.execute("ROLLBACK")
        return found


@pytest.mark.promise("P1")
def test_what_is_restored_while_fifty_clients_write_is_the_snapshot_exactly(site):
    wired, seen = site.wired(), {}
    with busy(site):
        now = local_now()
        made = dump(
            wired.site(),
            wired.catalog,
            BackupOptions(observe=lambda taken: seen.update(rows_in(site, taken))),
            now=now,
            listen=lambda _: None,
        )
        grown = site.sql("SELECT count(*) FROM pgbench_history")[0][0]
    assert made.manifest
    assert made.manifest.database
    proven = {table.name.removeprefix("public."): table.rows for table in made.manifest.database.tables}
    assert proven == {name: count for name, (count, _) in seen.items()}
    with pgbench(site, f"--client={CLIENTS}", "--time=600", "--no-vacuum") as clients:
        site.restore(made.path)  # the clients write while it loads, and lose their sessions in the swap
        assert clients.wait(60) != 0
    assert site.rows() == seen
    accounts, tellers, branches, history = site.sql(BALANCES)[0]
    assert accounts == tellers == branches == history
    assert grown > seen["pgbench_history"][0] > CLIENTS


@pytest.mark.promise("P1")
def test_no_row_of_a_point_made_while_files_arrive_lacks_its_file(site):
    with busy(site):
        site.korrigo("backup", "full")
    point = json.loads(site.one("restore_point_*.json").read_text())
    assert point["consistency"]["missing"] == 0
    with tarfile.open(site.one("media_backup_*.tar.gz")) as archive:
        files = {name.removeprefix("app/media/") for name in archive.getnames()}
    site.korrigo("restore", "latest-point", "--yes", "--no-safety-backup")
    named = {path for (path,) in site.sql("SELECT path FROM upload")}
    assert len(named) > 5
    assert named <= files
    assert all((site.media / path).read_bytes() == path.encode() for path in named)
