"""Undelete of one exam with 2,000 dependent rows and 500 files on a site of a million rows, while the site serves.

    .venv/bin/python benchmarks/rescue_undelete.py [--rows 1000000]

Prints the seconds of the command, its largest resident memory, and the slowest request that the site answered
meanwhile. The goals are 20 seconds and 150 MB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

from korrigo_backup.postgres.throwaway import ThrowawayServer, embedded_bindir, system_bindir

EXAMS, FILES, MINE, PAGES = 400, 5_000, 500, 1_500
"""Exams, media files, files of the exam that is deleted, and its pages; its copies have a file each."""

KEY = 7
SCHEMA = """
CREATE TABLE exam (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE copy (id serial PRIMARY KEY, exam_id int NOT NULL REFERENCES exam, pdf text NOT NULL UNIQUE, note text);
CREATE TABLE annotation (id bigserial PRIMARY KEY, copy_id int NOT NULL REFERENCES copy, body text, mark numeric(4,2));
INSERT INTO exam (name) SELECT 'exam ' || n FROM generate_series(1, {exams}) n;
INSERT INTO copy (exam_id, pdf, note)
  SELECT CASE WHEN n <= {mine} THEN {key} ELSE CASE 1 + n % {exams} WHEN {key} THEN 1 ELSE 1 + n % {exams} END END,
         'copies/' || n || '.pdf', md5(n::text) FROM generate_series(1, {files}) n;
INSERT INTO annotation (copy_id, body, mark)
  SELECT CASE WHEN n <= {pages} THEN 1 + n % {mine} ELSE {mine} + 1 + n % ({files} - {mine}) END,
         md5(n::text) || md5((n + 1)::text), n % 20 FROM generate_series(1, {rows} - {exams} - {files}) n;
CREATE INDEX ON copy (exam_id); CREATE INDEX ON annotation (copy_id);
VACUUM ANALYZE
"""
DELETE = f"""
DELETE FROM annotation WHERE copy_id IN (SELECT id FROM copy WHERE exam_id = {KEY});
DELETE FROM copy WHERE exam_id = {KEY}; DELETE FROM exam WHERE id = {KEY}
"""
COMMAND = str(Path(sys.executable).parent / "korrigo-backup")


def main() -> None:
    """Make the site, lose the exam, bring it back, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    bindir = system_bindir() or embedded_bindir()
    with ThrowawayServer(bindir) as server, tempfile.TemporaryDirectory() as place:
        access = server.access()
        password = access.password.reveal() if access.password else ""
        login: dict[str, Any] = {"host": access.host, "port": access.port, "user": access.user, "password": password}
        with psycopg.connect(**login, dbname="postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE school")
        with psycopg.connect(**login, dbname="school", autocommit=True) as connection:
            for statement in SCHEMA.format(exams=EXAMS, files=FILES, mine=MINE, key=KEY, pages=PAGES, rows=rows).split(
                ";\n"
            ):
                connection.execute(statement)  # type: ignore[call-overload]
            home, media = Path(place), Path(place) / "media"
            (media / "copies").mkdir(parents=True)
            for n in range(1, FILES + 1):
                (media / f"copies/{n}.pdf").write_bytes(os.urandom(20_000))
            (home / "korrigo-backup.toml").write_text('[media]\ncolumns = ["copy.pdf"]\n')
            env = {
                "PATH": f"{access.client_dir}:/usr/bin:/bin", "HOME": place, "POSTGRES_HOST": str(access.host),
                "POSTGRES_PORT": str(access.port), "POSTGRES_DB": "school", "POSTGRES_USER": access.user,
                "POSTGRES_PASSWORD": password, "MEDIA_ROOT": str(media), "BACKUP_DIR": str(home / "backups"),
                "KORRIGO_BACKUP_CLIENT_DIR": str(access.client_dir),
            }  # fmt: skip
            subprocess.run([COMMAND, "backup", "full"], env=env, cwd=home, check=True, stdout=subprocess.DEVNULL)
            before = _counts(connection)
            connection.execute(DELETE)
            for n in range(1, MINE + 1):
                (media / f"copies/{n}.pdf").unlink()
            seconds, memory, slowest = _measured(env, home, login)
            if _counts(connection) != before or len(list((media / "copies").iterdir())) != FILES:
                sys.exit("not all rows and files are back")
    print(f"undelete of {1 + MINE + PAGES:,} rows and {MINE} files, site of {rows:,} rows: {seconds:.1f} s (goal 20),")
    print(f"  {memory:.0f} MB resident (goal 150), slowest request of the site meanwhile {slowest * 1000:.0f} ms")


def _counts(connection: psycopg.Connection[Any]) -> list[Any]:
    return [connection.execute(f"SELECT count(*) FROM {name}").fetchone() for name in ("exam", "copy", "annotation")]


def _measured(env: dict[str, str], home: Path, login: dict[str, Any]) -> tuple[float, float, float]:
    """Return seconds and MB of the undelete, and the seconds of the slowest request meanwhile."""
    ended, slowest = threading.Event(), [0.0]

    def serve() -> None:
        with psycopg.connect(**login, dbname="school", autocommit=True) as connection:
            while not ended.wait(0.01):
                began = time.monotonic()
                connection.execute("UPDATE copy SET note = 'x' WHERE id = 4000")
                connection.execute("INSERT INTO annotation (copy_id, body) VALUES (4000, 'y')")
                connection.execute("DELETE FROM annotation WHERE body = 'y' AND copy_id = 4000")
                slowest[0] = max(slowest[0], time.monotonic() - began)

    serving = threading.Thread(target=serve)
    serving.start()
    began = time.monotonic()
    child = subprocess.Popen([COMMAND, "undelete", f"exam:{KEY}", "--yes"], env=env, cwd=home)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - began
    ended.set()
    serving.join()
    if status:
        sys.exit("the undelete failed")
    return seconds, usage.ru_maxrss / 1024, slowest[0]


if __name__ == "__main__":
    main()
