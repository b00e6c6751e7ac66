"""The demonstration: a site with real data is backed up, destroyed, restored, and the restore is undone, in five acts.

Everything it makes is in one directory, which it names at the end. It exits non-zero when anything differs.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from dataclasses import dataclass

import psycopg

from korrigo_backup.core.language import language
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from reference import BACKUPS, MADE_IN, MEDIA, READY, Reference, free_port, guarded, running
from witness import Testimony, testify
from words import Words

TEXT = Words(language(os.environ))
LEAST_ROWS, LEAST_BYTES = 100_000, 100_000_000
"""What the demonstration promises to show at least; with a smaller DEMO_COPIES it promises nothing."""
WIDTH = 78

LIFE = "UPDATE exams_copy SET score = 20 WHERE id IN (SELECT id FROM exams_copy WHERE score < 20 ORDER BY id LIMIT 3)"
"""What users do after the backup: a restore takes it from them, and the plan names it."""

DISASTER = """
DROP TABLE exams_annotation CASCADE;
DELETE FROM exams_gradingevent;
UPDATE exams_copy SET score = 0
"""


@dataclass(frozen=True)
class States:
    """What the witness read: as saved, in ruin, restored, rolled back, and with the rollback undone."""

    saved: Testimony
    ruin: Testimony
    restored: Testimony
    undone: Testimony
    again: Testimony

    @property
    def is_restored(self) -> bool:
        """Whether the restored state is that which was saved, and not the ruin."""
        return self.restored.digest() == self.saved.digest() != self.ruin.digest()

    @property
    def is_undone(self) -> bool:
        """Whether the rollback brought the ruin back, and its undo the restored state."""
        return self.undone.digest() == self.ruin.digest() and self.again.digest() == self.saved.digest()


def say(text: str) -> None:
    """Print a text now."""
    print(text, flush=True)


def title(text: str) -> None:
    """Print a heading."""
    say(f"\n── {text} ".ljust(WIDTH, "─"))


class Play:
    """The five acts on a site."""

    def __init__(self, site: Reference) -> None:
        self.site = site
        self.seconds: dict[str, float] = {}

    def act(self, number: int, name: str) -> None:
        """Print the heading of an act and its sentences."""
        title(f"{number}. {TEXT(name)}")
        say(TEXT(f"{name}_why"))

    def tool(self, part: str, *arguments: str, last: int) -> None:
        """Run korrigo-backup and show its `last` lines; its seconds count for a part of the last screen."""
        took = self.site.type("korrigo-backup", *arguments, show=say, last=last)
        self.seconds[part] = self.seconds.get(part, 0) + took

    def testify(self) -> Testimony:
        """Ask the witness."""
        return testify(self.site.connection, MEDIA)

    def play(self) -> States:
        """Play the acts, and return what the witness read."""
        saved = self.testify()
        numbers = {"rows": saved.rows, "tables": len(saved.tables), "files": len(saved.files)}
        say(TEXT("site", **numbers, megabytes=saved.media_bytes // 10**6, address=self.site.address))
        self.act(1, "backup")
        self.tool("backup", "backup", "full", last=5)
        self.act(2, "plan")
        self.live_on()
        self.tool("plan", "plan", "latest-point", last=9)
        self.act(3, "disaster")
        ruin = self.destroy()
        say(TEXT("disaster_seen", **losses(saved, ruin)))
        self.act(4, "restore")
        self.tool("restore", "restore", "latest-point", "--yes", last=6)
        restored = self.testify()
        self.act(5, "rollback")
        self.tool("rollback", "rollback", "--yes", last=3)
        undone = self.testify()
        self.tool("rollback", "rollback", "--to", "after", "--yes", last=3)
        return States(saved, ruin, restored, undone, self.testify())

    def live_on(self) -> None:
        """Do what the users of a site do after a backup."""
        with psycopg.connect(self.site.connection) as link:
            link.execute(LIFE)
        (MEDIA / "late.pdf").write_bytes(b"%PDF-1.4 handed in after the backup")

    def destroy(self) -> Testimony:
        """Wreck tables; delete, spoil and add media files. Return what the witness reads in the ruin."""
        with psycopg.connect(self.site.connection) as link:
            link.execute(DISASTER)
        files = sorted(path for path in MEDIA.rglob("*") if path.is_file())
        chosen = random.Random(7).sample(files, max(3, len(files) // 10))
        for number, path in enumerate(chosen):
            if number % 2:
                path.unlink()
            else:
                path.write_bytes(path.read_bytes()[:-1] + b"?")
        (MEDIA / "intruder.pdf").write_bytes(b"%PDF-1.4 not of this site")
        return self.testify()

    def report(self, states: States, began: float) -> bool:
        """Print the last screen and return whether everything is as it must be."""
        saved = states.saved
        verdicts = [TEXT("identical" if fine else "different") for fine in (states.is_restored, states.is_undone)]
        title(TEXT("report"))
        say(TEXT("lost", **losses(saved, states.ruin), of_files=len(saved.files)))
        say(TEXT("restored", rows=states.restored.rows, files=len(states.restored.files), downtime=downtime()))
        digests = {"before": saved.digest(), "ruin": states.ruin.digest(), "restored": states.restored.digest()}
        say(TEXT("proven", **digests, verdict=verdicts[0]))
        say(TEXT("undone", undone=states.undone.digest(), again=states.again.digest(), verdict=verdicts[1]))
        say(TEXT("seconds", **self.seconds))
        enough = saved.rows >= LEAST_ROWS and saved.media_bytes >= LEAST_BYTES
        if not enough and "DEMO_COPIES" not in os.environ:
            say(TEXT("small", rows=saved.rows, octets=saved.media_bytes))
        say(TEXT("end", seconds=round(time.monotonic() - began), place=str(MADE_IN)))
        return states.is_restored and states.is_undone and (enough or "DEMO_COPIES" in os.environ)


def losses(saved: Testimony, ruin: Testimony) -> dict[str, int]:
    """Return the rows that are gone, the tables that differ of all tables, and the files that are gone or differ."""
    tables = sum(ruin.tables.get(name) != table for name, table in saved.tables.items())
    files = sum(ruin.files.get(path) != digest for path, digest in saved.files.items())
    return {"rows": saved.rows - ruin.rows, "tables": tables, "of_tables": len(saved.tables), "files": files}


def downtime() -> float:
    """Return the seconds for which the restore stopped the site, from the journal."""
    return next(one.downtime or 0.0 for one in reversed(journal.read(BACKUPS)) if one.verb == Verb.RESTORE)


def main() -> int:
    """Play the demonstration and return the exit status."""
    began = time.monotonic()
    say(TEXT("intro"))
    if not READY.exists():
        say(TEXT("filling"))
    with running(free_port(), "the demonstration") as site:
        shutil.rmtree(BACKUPS, ignore_errors=True)
        site.fill()
        site.start()
        READY.unlink(missing_ok=True)  # from here on the data is in danger: a run that is cut starts afresh
        play = Play(site)
        states = play.play()
        site.forget_previous_copies()
        passed = play.report(states, began)
        if passed:
            READY.touch()
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(guarded(main, "hint: make demo starts afresh\nstate: no server is left running"))
