"""When the loop of `schedule run` begins what, on a clock of our own."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import structs

from korrigo_backup.artifact.artifact import Artifact
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.manifest import Manifest
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.schedule.loop import Loop, newest
from korrigo_backup.schedule.model import JOBS, OVERDUE, RunEnvironment

AROUND = RunEnvironment(site="k", identity="/k", command=("/k",), directory="/k", path="/bin")
SATURDAY = datetime(2026, 11, 28, 12).astimezone()
MANIFEST = Manifest(
    timestamp="", includes_media=False, database_backup=None, media_backup=None, backup_dir="", created=SATURDAY
)


def artifact(kind, created, **others):
    return structs.replace(
        Artifact(
            directory=Path("/k"),
            name="b",
            kind=kind,
            origin=Origin.ROUTINE,
            stamp="",
            created=created,
            size=1,
            source=MANIFEST,
            authenticity=Authenticity.UNSIGNED,
        ),
        **others,
    )


class Machine:
    """A clock that goes on when something sleeps or runs; what runs makes its backups unless it is set to fail."""

    def __init__(self, start, *, until, made=(), fails=(), takes=timedelta(minutes=1), jitter=0, jobs=JOBS[:2]):
        self.now, self.until, self.fails, self.takes = start, until, fails, takes
        self.artifacts = list(made)
        self.begun: list[tuple[str, str]] = []
        self.missed: list[Any] = []
        self.proven = None
        self.loop = Loop(jobs, replace(AROUND, jitter=jitter), lambda: self.artifacts, lambda: self.proven)
        self.code = self.loop.forever(self.run, clock=lambda: self.now, sleep=self.sleep, tell=self.missed.append)

    def run(self, job):
        if self.now >= self.until:
            return 130
        self.begun.append((job.id, f"{self.now:%a %H:%M}"))
        if job.id not in self.fails:
            kinds = [Kind.SQL, Kind.POINT] if job.id == "weekly" else [Kind.SQL]
            self.artifacts += [artifact(kind, self.now) for kind in kinds]
            self.proven = self.now if job.id == "drill" else self.proven
        self.now += self.takes
        return 1 if job.id in self.fails else 0

    def sleep(self, seconds):
        assert seconds <= 60
        self.now += timedelta(seconds=seconds)


def made_before(now):
    return [artifact(kind, now - timedelta(hours=1)) for kind in (Kind.SQL, Kind.POINT)]


def test_jobs_begin_at_their_hours_and_the_loop_ends_when_a_run_is_interrupted():
    machine = Machine(SATURDAY, until=SATURDAY + timedelta(days=2), made=made_before(SATURDAY))
    assert machine.begun == [("daily", "Sun 03:00"), ("weekly", "Sun 04:00"), ("daily", "Mon 03:00")]
    assert machine.code == 130
    assert [(run.job, f"{run.at:%a %H:%M}") for run in machine.missed] == [
        ("daily", "Sun 03:00"),
        ("weekly", "Sun 04:00"),
        ("daily", "Mon 03:00"),
        ("daily", "Tue 03:00"),
    ]


def test_the_loop_starts_a_weekly_run_at_once_if_no_backup_exists():
    machine = Machine(SATURDAY, until=SATURDAY + timedelta(hours=10))
    assert machine.begun == [("weekly", "Sat 12:00")]


def test_a_run_that_was_missed_is_made_up_for_once_also_when_it_fails():
    old = [artifact(Kind.SQL, SATURDAY - timedelta(days=3)), artifact(Kind.POINT, SATURDAY - timedelta(days=3))]
    machine = Machine(SATURDAY, until=SATURDAY + timedelta(hours=10), made=old, fails=("daily",))
    assert machine.begun == [("daily", "Sat 12:00")]


def test_a_run_longer_than_its_interval_is_followed_by_a_single_run_of_each_job():
    machine = Machine(
        SATURDAY, until=SATURDAY + timedelta(days=3), made=made_before(SATURDAY), takes=timedelta(hours=30)
    )
    assert machine.begun == [("daily", "Sun 03:00"), ("weekly", "Mon 09:00")]


def test_a_missing_backup_is_reported_at_its_hour_and_not_for_a_time_before_the_start():
    jobs = (*JOBS[:2], replace(OVERDUE, hours="0 9 * * *"))
    machine = Machine(SATURDAY, until=SATURDAY + timedelta(hours=22), jobs=jobs)
    assert machine.begun == [
        ("weekly", "Sat 12:00"),
        ("daily", "Sun 03:00"),
        ("weekly", "Sun 04:00"),
        ("overdue", "Sun 09:00"),
    ]


def test_a_drill_that_was_missed_is_made_up_for_though_a_backup_was_made_since():
    wednesday = SATURDAY + timedelta(days=4)
    machine = Machine(wednesday, until=wednesday + timedelta(hours=1), made=made_before(wednesday), jobs=JOBS[2:])
    assert machine.begun == [("drill", "Wed 12:00")]


def test_a_drill_begins_after_the_backups_that_were_missed():
    machine = Machine(SATURDAY, until=SATURDAY + timedelta(hours=10), jobs=JOBS)
    assert machine.begun == [("weekly", "Sat 12:00"), ("drill", "Sat 12:01")]


def test_a_clock_that_is_set_back_does_not_end_the_backups():
    ahead = made_before(SATURDAY + timedelta(days=365))
    machine = Machine(SATURDAY, until=SATURDAY + timedelta(hours=16), made=ahead)
    assert machine.begun == [("weekly", "Sat 12:00"), ("daily", "Sat 12:01"), ("daily", "Sun 03:00")]


def test_the_delay_of_a_machine_is_always_the_same_and_below_the_jitter():
    around = replace(AROUND, jitter=600)
    delay = around.delay(JOBS[0])
    assert 0 < delay <= 600
    machine = Machine(SATURDAY, until=SATURDAY + timedelta(hours=16), made=made_before(SATURDAY), jitter=600)
    (run,) = machine.missed[:1]
    assert run.at == SATURDAY + timedelta(hours=15, seconds=delay)


def test_only_good_routine_backups_count():
    others = [
        artifact(Kind.SQL, SATURDAY, origin=Origin.SAFETY),
        artifact(Kind.SQL, SATURDAY, problem="cut"),
        artifact(Kind.SQL, SATURDAY, source=None),
        artifact(Kind.MEDIA, SATURDAY),
    ]
    assert newest(others) is None
    assert newest([*others, artifact(Kind.SQL, SATURDAY - timedelta(days=1))]) == SATURDAY - timedelta(days=1)
