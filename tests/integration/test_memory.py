"""Memory does not grow with the data: measured on the command's own process."""

import json
import subprocess
import sys

import pytest

from sandbox import KORRIGO

LIMIT = 120 * 1024
"""KiB, whatever the size."""

GROWTH = 24 * 1024
"""KiB between a small and a large site: buffers that fill up, nothing that grows with the rows."""

PEAK = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
print(json.dumps([done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""
ROWS = """
CREATE TABLE mark (id bigint PRIMARY KEY, body text, more text);
INSERT INTO mark SELECT g, md5(g::text), repeat(md5((g + 1)::text), 3) FROM generate_series(1, {}) g;
"""


def peak(site, *arguments, code=0):
    """KiB of the largest process of a run of the command; it must end with `code`."""
    program = str(KORRIGO)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, program, *arguments],
        env=site.env, cwd=site.home, capture_output=True, check=True,
    )  # fmt: skip
    ended, size = json.loads(done.stdout)
    assert ended == code, done.stderr.decode()
    return size


@pytest.mark.promise("P6")
def test_backup_verify_and_restore_of_the_database_stay_small_and_flat(make_site):
    peaks = []
    for rows in (10_000, 1_000_000):
        site = make_site(schema=ROWS.format(rows))
        peaks.append([peak(site, *verb) for verb in (
            ("backup", "db"), ("verify", "latest"), ("restore", "latest", "--yes"),
        )])  # fmt: skip
    small, large = peaks
    assert max(large) < LIMIT, peaks
    assert all(b - a < GROWTH for a, b in zip(small, large, strict=True)), peaks


@pytest.mark.promise("P6")
def test_backup_verify_and_restore_of_the_media_stay_small_and_flat(make_site):
    peaks = []
    for files, size in ((5, 1000), (3000, 100_000)):
        site = make_site(schema="")
        for number in range(files):
            site.write(f"scans/{number % 10}/{number}.jpg", (str(number) * size)[:size].encode())
        site.write("large.pdf", b"%PDF" * (size * 100))
        backup = peak(site, "backup", "media")
        archive = str(next(site.backups.glob("media_backup_*.tar.gz")))
        peaks.append([backup, peak(site, "verify", archive), peak(site, "restore", archive, "--yes")])
    small, large = peaks
    assert max(large) < LIMIT, peaks
    assert all(b - a < GROWTH for a, b in zip(small, large, strict=True)), peaks


@pytest.mark.promise("P6")
def test_compare_stays_small_and_flat_when_every_row_of_a_large_table_differs(make_site):
    peaks = []
    for rows in (220_000, 500_000):
        site = make_site(schema=ROWS.format(rows))
        site.backup()
        site.sql("UPDATE mark SET more = body")
        peaks.append(peak(site, "compare", code=9))
    assert peaks[1] < LIMIT, peaks
    assert peaks[1] - peaks[0] < GROWTH, peaks
