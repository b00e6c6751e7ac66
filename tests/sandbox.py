"""A site of its own for one test, and an independent view of what is in it: none of our digests, none of our readers."""

import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path

import psycopg

import warmstart
from korrigo_backup.app.build import wire
from korrigo_backup.artifact import keyring
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.signature import sign
from korrigo_backup.backup.backup import BackupOptions, backup_database
from korrigo_backup.backup.media import backup_media
from korrigo_backup.restore.restore import RestoreOptions, restore
from korrigo_backup.run.step import silent

PROJECT = Path(__file__).parents[1]
KORRIGO = Path(sys.executable).parent / "korrigo-backup"
TEMPLATE = "template_of_sites"

USER = "viatique_user"
USER_PASSWORD = "s3cr3t-viatique-pa55"

SCHEMA = """
CREATE TYPE grade_state AS ENUM ('draft', 'final');
CREATE TABLE exam (id serial PRIMARY KEY, name text NOT NULL UNIQUE, held date);
CREATE TABLE copy (
  id uuid PRIMARY KEY, exam_id int NOT NULL REFERENCES exam, pages jsonb NOT NULL, scan bytea,
  mark numeric(5,2), state grade_state, seen timestamptz, ratio double precision, note text);
CREATE INDEX copy_mark ON copy (mark);
CREATE TABLE annotation (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, copy_id uuid REFERENCES copy DEFERRABLE INITIALLY DEFERRED,
  body text, twice text GENERATED ALWAYS AS (body || body) STORED);
CREATE TABLE nothing_yet (id int);
CREATE VIEW finals AS SELECT * FROM copy WHERE state = 'final';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  -- COPY public.exam (id) FROM stdin; is only text in here
  NEW.note := coalesce(NEW.note, E'it''s \\\\ new');
  RETURN NEW;
END $body$;
CREATE TRIGGER copy_touch BEFORE UPDATE ON copy FOR EACH ROW EXECUTE FUNCTION touch();
INSERT INTO exam (name, held) SELECT 'exam ' || n, date '2026-01-01' + n FROM generate_series(1, 20) n;
INSERT INTO copy
  SELECT md5(n::text)::uuid, 1 + n % 20, jsonb_build_object('pages', jsonb_build_array('a/' || n, 'b\\tc')),
         decode(md5(n::text), 'hex'), n % 20 + 0.25, (ARRAY['draft', 'final'])[1 + n % 2]::grade_state,
         timestamptz '2026-02-04 03:00:00.123456+01' + n * interval '1 minute', 1.0 / n,
         CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN E'tab\\there\\nand \\\\. there' ELSE 'é ✅ "quoted"' END
  FROM generate_series(1, 300) n;
INSERT INTO annotation (copy_id, body) SELECT id, 'seen ' || mark FROM copy;
"""

MEDIA = {
    "copies/2026/scan 1.pdf": b"%PDF-1.4 one" * 500,
    "copies/2026/scan 2.pdf": b"%PDF-1.4 two" * 700,
    "pages/p1.jpg": bytes(range(256)) * 40,
    "pages/empty.jpg": b"",
}


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def output(self):
        return self.out + self.err


@dataclass(frozen=True)
class State:
    """All that a failed run must leave as it was."""

    schema: str
    rows: dict
    sequences: list
    databases: frozenset
    tree: dict
    published: frozenset


def connect(server, database="postgres", user="postgres", password=None):
    access = server.access()
    return psycopg.connect(
        host=access.host,
        port=access.port,
        user=user,
        password=password or access.password.reveal(),
        dbname=database,
        autocommit=True,
    )


def database_names(server):
    with connect(server) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def drop_database(server, database):
    """Drop a database, and first its subscriptions: the server refuses to drop one that has any."""
    with connect(server) as admin:
        of_it = "SELECT subname FROM pg_subscription JOIN pg_database d ON d.oid = subdbid WHERE datname = %s"
        subscriptions = [name for (name,) in admin.execute(of_it, [database]).fetchall()]
        if subscriptions:
            with connect(server, database) as there:
                for name in map(quoted, subscriptions):
                    there.execute(f"ALTER SUBSCRIPTION {name} DISABLE")
                    there.execute(f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")
                    there.execute(f"DROP SUBSCRIPTION {name}")
        admin.execute(f"DROP DATABASE IF EXISTS {quoted(database)} WITH (FORCE)")


class Sandbox:
    def __init__(self, server, database, home):
        self.server = server
        self.database = database
        self.home = home
        self.media = home / "media"
        self.backups = home / "backups"
        self.user = USER
        self.superuser = False
        """Whether the site's role is the superuser of its server, as in the official container."""

    def create(self, schema=SCHEMA):
        self.home.mkdir(parents=True)
        with connect(self.server) as connection:
            named = "SELECT FROM pg_database WHERE datname = %s"
            is_copy = schema == SCHEMA and connection.execute(named, [TEMPLATE]).fetchone()
            source = f" TEMPLATE {TEMPLATE}" if is_copy else ""
            connection.execute(f"CREATE DATABASE {quoted(self.database)} OWNER {USER}{source}")
        if schema and not is_copy:
            self.sql(schema)
        for path, content in MEDIA.items():
            self.write(path, content)

    # The command

    @property
    def env(self):
        access = self.server.access()
        return {
            **{name: os.environ[name] for name in ("PYTHONPYCACHEPREFIX",) if name in os.environ},
            "PATH": f"{access.client_dir}:/usr/bin:/bin",
            "KORRIGO_BACKUP_CLIENT_DIR": str(access.client_dir),
            "HOME": str(self.home),
            "POSTGRES_HOST": access.host,
            "POSTGRES_PORT": str(access.port),
            "POSTGRES_DB": self.database,
            "POSTGRES_USER": "postgres" if self.superuser else self.user,
            "POSTGRES_PASSWORD": access.password.reveal() if self.superuser else USER_PASSWORD,
            "MEDIA_ROOT": str(self.media),
            "BACKUP_DIR": str(self.backups),
        }

    def korrigo(self, *arguments, code=0, **options):
        """Run the command; it must end with `code`, or one of them."""
        return self.run([str(KORRIGO), *map(str, arguments)], code=code, **options)

    def script(self, name, *arguments, code=0, **options):
        """Run one of the runbook's scripts; it must end with `code`."""
        return self.run([str(PROJECT / "scripts" / name), *map(str, arguments)], code=code, **options)

    def run(self, argv, *, code=0, env=None, stdin="", umask=-1, timeout=60, traceback=False):
        whole = {name: value for name, value in (self.env | (env or {})).items() if value is not None}
        given = stdin.encode()
        if argv[0] == str(KORRIGO) and warmstart.fits(argv, whole, given):
            ended, out, err = warmstart.run(argv, env=whole, cwd=self.home, given=given, umask=umask, timeout=timeout)
        else:
            done = subprocess.run(
                argv,
                env=whole,
                cwd=self.home,
                input=given,
                capture_output=True,
                umask=umask,
                timeout=timeout,
                check=False,
            )
            ended, out, err = done.returncode, done.stdout, done.stderr
        result = Done(ended, out.decode(), err.decode())
        codes = code if isinstance(code, tuple) else (code,)
        assert result.code in codes, f"{argv} ended with {result.code}, not {code}:\n{result.out}\n{result.err}"
        assert traceback or "Traceback" not in result.output
        return result

    def json(self, *arguments, code=0, **options):
        return json.loads(self.korrigo(*arguments, "--json", code=code, **options).out)

    @contextmanager
    def started(self, *arguments, env=None):
        """Start the command without waiting; it is killed at the end if it still runs."""
        argv = [str(KORRIGO), *map(str, arguments)]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            argv, env=self.env | (env or {}), cwd=self.home, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
        ) as child:
            try:
                yield child
            finally:
                if child.poll() is None:
                    child.kill()

    def wired(self):
        """The same site, as objects, for tests that need no process of their own."""
        return wire(self.home, self.env, None)

    # The database, seen by a client that is not ours

    def connect(self, database=None, *, superuser=False):
        name = database or self.database
        return connect(self.server, name) if superuser else connect(self.server, name, self.user, USER_PASSWORD)

    def sql(self, text, database=None, *, superuser=False):
        with self.connect(database, superuser=superuser) as connection:
            cursor = connection.execute(text)
            return cursor.fetchall() if cursor.description else []

    def databases(self):
        """Every database that is ours or named after ours."""
        with connect(self.server) as connection:
            names = [name for (name,) in connection.execute("SELECT datname FROM pg_database")]
        return frozenset(name for name in names if name.startswith(self.database[:20]))

    def previous_databases(self):
        """The databases that restores replaced."""
        return sorted(name for name in self.databases() if "_before_" in name)

    def rows(self, database=None):
        """A checksum of every table's rows, in an order of our own."""
        with self.connect(database, superuser=True) as connection:
            names = connection.execute(
                "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE (relkind = 'r' OR relkind = 'm' AND relispopulated) AND nspname !~ '^pg_' AND nspname <> 'information_schema'"
            ).fetchall()
            return {name: _rows(connection, name) for (name,) in names}

    def sequences(self, database=None):
        return self.sql(
            "SELECT schemaname, sequencename, last_value, increment_by FROM pg_sequences ORDER BY 1, 2", database
        )

    def schema(self, database=None):
        """The definitions as pg_dump writes them, without its random key."""
        access = self.server.access()
        done = subprocess.run(
            [str(access.client_dir / "pg_dump"), "--schema-only"],
            env={
                "PGHOST": access.host,
                "PGUSER": access.user,
                "PGPASSWORD": access.password.reveal(),
                "PGDATABASE": database or self.database,
            },
            capture_output=True,
            check=True,
        )
        return "\n".join(line for line in done.stdout.decode().splitlines() if "restrict" not in line)

    def content(self, database=None):
        """All that a database holds."""
        return self.schema(database), self.rows(database), self.sequences(database)

    def wreck(self):
        """Do to the database what a bad day does: drop, empty, corrupt, add."""
        self.sql("DROP TABLE annotation; UPDATE copy SET mark = 0, pages = '{}'; DELETE FROM nothing_yet;")
        self.sql("DROP FUNCTION touch CASCADE; INSERT INTO exam (name) VALUES ('never saved');")
        self.sql("CREATE TABLE intruder (id int); SELECT setval('exam_id_seq', 9000);")

    # The files

    def write(self, path, content):
        target = self.media / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return target

    def tree(self):
        """Every entry of the media tree with type, mode and content; what restores keep aside is left out."""
        return tree(self.media)

    def published(self):
        """The names in the backup directory that are not hidden."""
        names = os.listdir(self.backups) if self.backups.is_dir() else []
        return frozenset(name for name in names if not name.startswith("."))

    def hidden(self):
        names = {name for name in os.listdir(self.backups) if name.startswith(".") and not name.startswith(".site-")}
        return names - {".lock", ".journal.jsonl"}

    def journal(self):
        """The newest state of each operation, oldest first."""
        lines = (self.backups / ".journal.jsonl").read_text().splitlines()
        return list({record["id"]: record for record in map(json.loads, lines)}.values())

    def one(self, pattern):
        """The only file of that pattern in the backup directory."""
        (found,) = (p for p in self.backups.glob(pattern) if not p.is_symlink() and not p.name.startswith("."))
        return found

    def backup(self, *, digest=True):
        """Make a backup of the database and return its path; in this process, which is quicker."""
        wired = self.wired()
        made = backup_database(wired.site(), wired.catalog, BackupOptions(digest=digest), now=local_now())
        return made.artifact.path

    def backup_media(self):
        """Make a backup of the media and return its path."""
        wired = self.wired()
        return backup_media(wired.site(), wired.catalog, now=local_now()).artifact.path

    def restore(self, path, *, safety_backup=False, listen=silent):
        """Restore without asking, in this process."""
        wired = self.wired()
        return restore(
            wired.site(),
            wired.catalog,
            wired.catalog.find(str(path)),
            RestoreOptions(safety_backup=safety_backup),
            now=local_now(),
            confirm=lambda _: {},
            listen=listen,
        )

    def seal(self, path):
        """Sign a manifest that a test has altered, with the site's own key: a forger who has it."""
        raw = json.loads(path.read_text())
        raw.pop("auth", None)
        key = keyring.read(self.home / ".config" / "korrigo-backup" / "key").signing()
        path.write_bytes(sign(json.dumps(raw).encode(), key))

    def aged(self, path, days):
        """Copy a backup to the name, with the signed manifest and the line of the journal that it would have if so old."""
        moment = local_now() - timedelta(days=days)
        stamp = f"{moment:%Y%m%d_%H%M%S}"
        name = re.sub(r"[0-9]{8}_[0-9]{6}", stamp, path.name)
        for suffix in ("", ".manifest.json", ".sha256"):
            source = path.with_name(path.name + suffix)
            if source.exists():
                shutil.copy2(source, path.with_name(name + suffix))
        place = path if path.name.startswith("restore_point") else path.with_name(name + ".manifest.json")
        manifest = path.with_name(name) if place == path else place
        raw = json.loads(manifest.read_text().replace(path.name, name))
        raw |= {"created": moment.astimezone(UTC).isoformat().replace("+00:00", "Z"), "timestamp": stamp}
        manifest.write_text(json.dumps(raw))
        self.seal(manifest)
        line = {
            "id": f"aged-{stamp}",
            "verb": "backup",
            "subject": "db",
            "site": "korrigo",
            "by": "test",
            "outcome": "done",
        }
        with (self.backups / ".journal.jsonl").open("a") as journal:
            journal.write(json.dumps(line | {"started": moment.astimezone(UTC).isoformat(), "exit_code": 0}) + "\n")
        return path.with_name(name)

    def state(self):
        schema, rows, sequences = self.content()
        return State(schema, rows, sequences, self.databases(), self.tree(), self.published())


@contextmanager
def nothing_changes(site):
    """Database, media tree and published backups are the same after the block as before."""
    before = site.state()
    yield
    after = site.state()
    for name in State.__annotations__:
        assert getattr(after, name) == getattr(before, name), f"{name} changed"


def tree(root):
    root = os.fsencode(root)
    found = {}
    for directory, names, files in os.walk(root):
        if directory == root:
            names[:] = [n for n in names if not n.startswith((b".stage-", b".before-", b".after-"))]
        for name in [*names, *files]:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, root)] = _entry(path)
    return found


def _entry(path):
    info = os.lstat(path)
    kind, mode = stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode)
    if stat.S_ISLNK(info.st_mode):
        return kind, os.readlink(path)
    if stat.S_ISREG(info.st_mode):
        return kind, mode, info.st_mtime_ns, hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()
    return kind, mode


def _rows(connection, table):
    """Count and checksum; neither depends on the order of rows or columns (pg_dump may change the latter)."""
    names = connection.execute(
        "SELECT coalesce(array_agg(attname ORDER BY attname), '{}') FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        [table],
    ).fetchone()[0]
    row = f"ROW({', '.join(f'r.{quoted(name)}' for name in names)})::text"
    query = f"SELECT count(*), md5(string_agg({row}, E'\\n' ORDER BY {row} COLLATE \"C\")) FROM ONLY {table} r"
    return connection.execute(query).fetchone()


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def until(condition, seconds=20):
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
    return found


def children(pid):
    """All processes below `pid`."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *children(int(child))]
    return found


def kill_all(child):
    """End a command and what it started, without any chance to clean up (a power cut for them, not the server)."""
    os.kill(child.pid, signal.SIGSTOP)
    for pid in children(child.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    child.kill()
    child.wait()


def make_template(server):
    """Make a database with the tables and rows of a site, for `Sandbox.create` to copy."""
    with connect(server) as admin:
        admin.execute(f"CREATE DATABASE {TEMPLATE} OWNER {USER}")
        with connect(server, TEMPLATE, USER, USER_PASSWORD) as owner:
            owner.execute(SCHEMA)
        admin.execute(f"ALTER DATABASE {TEMPLATE} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")
