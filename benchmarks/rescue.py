"""How long `history` of a row and the search for the time of a change take, on dumps made here.

    .venv/bin/python benchmarks/rescue.py [--rows 300000] [--dumps 30] [--points 96]

It starts a server of its own in a temporary directory, makes the dumps with the product, and prints seconds: the
median of three runs of the command, its start included, and the processor time of the last. The history is that of the
worst case: the table changes between all dumps, and the row is near its end.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from korrigo_backup.postgres.throwaway import ThrowawayServer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from sandbox import USER, USER_PASSWORD, Sandbox, connect
from servers import bindir

SCHEMA = """
CREATE TABLE exams_exam (id serial PRIMARY KEY, name text NOT NULL, held date);
INSERT INTO exams_exam (name, held) SELECT 'exam ' || n, date '2026-01-01' + n FROM generate_series(1, 200) n;
CREATE TABLE exams_mark (id serial PRIMARY KEY, exam_id int REFERENCES exams_exam, points numeric(6, 2), note text);
INSERT INTO exams_mark (exam_id, points, note)
  SELECT 1 + n % 200, n % 20, md5(n::text) || md5((n + 1)::text) FROM generate_series(1, {rows}) n;
"""
MANY = """DO $$ BEGIN
  FOR n IN 1..80 LOOP EXECUTE format('CREATE TABLE other_%s (id int PRIMARY KEY, word text)', n); END LOOP;
END $$"""


def save(site: Sandbox, days: float) -> None:
    """Make a dump and give it the age of so many days."""
    made = site.backup()
    site.aged(made, days)
    for path in (made, made.with_name(made.name + ".manifest.json")):
        path.unlink()


def timed(site: Sandbox, *arguments: str) -> tuple[str, dict[str, object]]:
    """Return the median seconds of three runs with the processor time of the last, and its document."""
    seconds, processor = [], 0.0
    os.environ["KORRIGO_TEST_START"] = "1"  # a new interpreter, as the operator's
    for _ in range(3):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        document = json.loads(site.korrigo(*arguments, "--json", timeout=600).out)
        seconds.append(time.perf_counter() - begun)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    del os.environ["KORRIGO_TEST_START"]
    return f"{statistics.median(seconds):.2f} s ({processor:.2f} s of processor)", document


def main() -> None:
    """Make the dumps, run the commands, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--dumps", type=int, default=30)
    parser.add_argument("--points", type=int, default=96)
    given = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="korrigo-rescue-"))
    os.environ["HOME"] = str(home)
    try:
        with ThrowawayServer(bindir()) as server:
            with connect(server) as admin:
                admin.execute(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{USER_PASSWORD}'")
            measure_history(Sandbox(server, "history", home / "history"), given.rows, given.dumps)
            measure_search(Sandbox(server, "search", home / "search"), given.points)
            measure_look_back(Sandbox(server, "look", home / "look"), given.points)
    finally:
        shutil.rmtree(home)


def measure_history(site: Sandbox, rows: int, dumps: int) -> None:
    """Print the seconds of the history of a row: in a table that changes between all dumps, and in another."""
    site.create(SCHEMA.format(rows=rows))
    row = rows - 7
    for number in range(dumps):
        site.sql(f"UPDATE exams_mark SET points = 100 + {number} WHERE id = {row if number % 10 == 5 else 1}")
        save(site, dumps - number)
    packed = sum(path.stat().st_size for path in site.backups.glob("db_backup_2*.sql.gz"))
    seconds, found = timed(site, "history", f"exams_mark:{row}")
    print(f"history, {dumps} dumps of {rows:,} rows ({packed / 1e6:.0f} MB), {found['read']} read: {seconds}")
    seconds, found = timed(site, "history", "exams_exam:7")
    print(f"history in a table that did not change, {found['read']} of {dumps} read: {seconds}")


def measure_search(site: Sandbox, points: int) -> None:
    """Print the seconds of the search for the time when one table of many changed."""
    site.create(f"{SCHEMA.format(rows=1000)}; {MANY}")
    for number in range(points):
        if number == points // 3:
            site.sql("DELETE FROM exams_mark WHERE id < 10")
        save(site, (points - number) / 4)
    seconds, found = timed(site, "history", "--table", "exams_mark")
    print(f"when a table changed, {points} points: {seconds}: {len(found['moments'])} found")  # type: ignore[arg-type]
    seconds, _ = timed(site, "rescue", "--only-data")
    print(f"rescue --only-data, {points} points of {83} tables: {seconds}")


def measure_look_back(site: Sandbox, points: int) -> None:
    """Print the seconds of the search for a mass change in a table that changes a little between all points."""
    site.create(f"{SCHEMA.format(rows=10_000)}; {MANY}")
    for number in range(points):
        site.sql(f"UPDATE exams_mark SET note = note || '.' WHERE id % 100 = {number}")
        if number == points // 3:
            site.sql("UPDATE exams_mark SET points = 0")
        save(site, (points - number) / 4)
    seconds, found = timed(site, "rescue", "--only-data")
    steps = found["losses"]["steps"]  # type: ignore[index]
    print(f"rescue --only-data, a mass change of 10,000 rows among {points - 1} small: {seconds}: {len(steps)} found")


if __name__ == "__main__":
    main()
