"""The words and numbers of a display: its lines in any width, the place among the steps, the time left."""

import io
import sys
from datetime import UTC, datetime

import pytest

from korrigo_backup.core.language import Language
from korrigo_backup.run.progress.display import Display
from korrigo_backup.run.progress.estimate import Rate, former_run, time_left, work_left
from korrigo_backup.run.progress.lines import Bar, RunPosition, clock, cut, plain_line, terminal_lines, width
from korrigo_backup.run.progress.operation import Operation, under_way
from korrigo_backup.run.progress.style import Style, style
from korrigo_backup.run.progress.terminal import Terminal
from korrigo_backup.run.record import Outcome, Record, Timed
from korrigo_backup.system import progress, screen
from korrigo_backup.system.progress import Unit, Work
from korrigo_backup.translation.catalogue import translator

MIB = 1024 * 1024
DUMP = Work(
    name="dumping the database",
    size=62 * MIB,
    whole=100 * MIB,
    is_estimate=True,
    unit=Unit.TABLES,
    count=12,
    number=36,
    item=b"public.order_lines",
)
FILES = Work(name="saving the media files", unit=Unit.FILES, count=7, size=512, item="scans/2026/élève à côté/写真.jpg")


def record(subject, *steps, verb="backup", outcome=Outcome.DONE, seconds=30.0):
    return Record(
        id=subject,
        verb=verb,
        subject=subject,
        site="korrigo",
        by="root",
        started=datetime(2026, 2, 4, tzinfo=UTC),
        outcome=outcome,
        seconds=seconds,
        steps=tuple(Timed(id_, at) for id_, at in steps),
    )


FULL = record("full", ("backup.create", 1.0), ("backup.verify", 11.0), ("media.create", 12.0))
DB = record("db", ("backup.create", 1.0), ("backup.verify", 11.0), seconds=12.0)


def texts(lines):
    """The lines as text; a bar of ten columns is `[fraction]`, filled up with points."""
    return ["  ".join(f"[{part.fraction:.2f}]".ljust(10, ".") if isinstance(part, Bar) else part for part in line)
            for line in lines]  # fmt: skip


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("columns", [20, 40, 59, 79, 120])
def test_every_line_fits_the_terminal_and_names_the_work(columns, language):
    place = RunPosition(step=2, of=8, elapsed=72, left=40)
    shown = texts(terminal_lines(place, [(DUMP, 5.0 * MIB), (FILES, None)], columns, translator(language)))
    assert [width(line) <= columns for line in shown] == [True] * 3
    if columns >= 40:
        assert shown[0].startswith("step 2 of 8" if language is Language.ENGLISH else "étape 2 sur 8")
    if columns >= 79:
        assert "62 %  62M/~100M" in shown[1]
        assert "photo" not in shown[2]
        assert shown[2].endswith(".jpg")


def test_a_wide_terminal_shows_all():
    (_, line) = texts(terminal_lines(RunPosition(), [(DUMP, 5.0 * MIB)], 120, str))
    assert line == "dumping the database  [0.62]....  62 %  62M/~100M  tables: 12 of 36  5.0M/s  public.order_lines"


def test_without_a_total_there_is_no_part_and_no_time_left():
    work = Work(name="dumping the database", size=62 * MIB)
    shown = texts(terminal_lines(RunPosition(), [(work, 5.0 * MIB)], 79, str))
    assert shown == ["0:00", "dumping the database  62M  5.0M/s"]
    assert work_left(work, 5.0 * MIB) is None


def test_more_bytes_than_the_former_backup_had_are_no_part_of_it():
    work = Work(name="dumping the database", size=120 * MIB, whole=100 * MIB, is_estimate=True)
    (_, line) = texts(terminal_lines(RunPosition(), [(work, None)], 79, str))
    assert line == "dumping the database  [1.00]....  120M"
    assert work_left(work, 5.0 * MIB) is None


def test_a_line_of_a_log_has_everything_and_no_control_code():
    work = Work(name="saving the media files", item="a\x1b[2J\nb", size=5 * MIB, whole=10 * MIB)
    line = plain_line(RunPosition(step=4, of=8, elapsed=60, left=3700), [(work, 1.0 * MIB)], str)
    assert line == ("step 4 of 8, 1:00, saving the media files 50 % 5.0M/10M 1.0M/s a\\x1b[2J\\nb, time left: 1:01:40")


def test_a_long_name_keeps_its_begin_and_its_end():
    assert cut("public.a_table_with_a_long_name", 15) == "public.…ng_name"
    assert [cut("写真写真写真", 7), width(cut("写真写真写真", 7)), cut("abc", 0)] == ["写真…真", 7, ""]
    assert [clock(7), clock(750), clock(3723)] == ["0:07", "12:30", "1:02:03"]


def test_a_rate_is_that_of_the_last_seconds():
    rate = Rate()
    assert [rate.add(0.0, 0), rate.add(0.5, 10)] == [None, None]
    for second in range(1, 60):
        last = rate.add(second, 100 * second)
    assert last == pytest.approx(100)
    assert rate.add(61, 5) is None  # another file


def test_the_former_run_has_the_same_subject_and_the_same_first_steps():
    records = [DB, FULL, record("db", ("backup.create", 0.1), outcome=Outcome.FAILED)]
    assert former_run(records, "backup", "db", ["backup.create"]) is DB
    assert former_run(records, "backup", "media", ["media.create"]) is None
    assert former_run(records, "backup", "db", ["backup.create", "media.create"]) is None
    old = record("db_backup_1", ("restore.verify", 0.1), verb="restore")
    assert former_run([old], "restore", "db_backup_2", ["restore.verify"]) is old


def test_the_time_left_is_that_of_the_work_and_of_the_steps_after_it():
    steps = [Timed("backup.create", 1.0)]
    assert time_left(FULL, steps, 5.0, [4.0, None]) == 4.0 + 19.0
    assert time_left(FULL, steps, 5.0, []) == 6.0 + 19.0
    assert time_left(FULL, steps, 15.0, []) is None  # slower than the former run
    assert time_left(None, steps, 5.0, [4.0]) == 4.0
    assert time_left(None, steps, 5.0, []) is None


class Stream(io.StringIO):
    def __init__(self, *, terminal):
        super().__init__()
        self._terminal = terminal

    def isatty(self):
        return self._terminal


def test_without_rich_a_terminal_gets_the_lines_of_a_log(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    watched = {"quiet": False, "scheduled": False, "document": False}
    assert style(Stream(terminal=True), {"TERM": "xterm"}, **watched) is Style.LOG


@pytest.mark.parametrize(
    ("terminal", "environment", "asked", "expected"),
    [
        (True, {"TERM": "xterm"}, {}, Style.TERMINAL),
        (True, {"TERM": "dumb"}, {}, Style.LOG),
        (True, {"TERM": "xterm"}, {"quiet": True}, Style.NONE),
        (True, {"TERM": "xterm"}, {"document": True}, Style.TERMINAL),
        (False, {"TERM": "xterm"}, {}, Style.LOG),
        (False, {"TERM": "xterm"}, {"document": True}, Style.NONE),
        (False, {"TERM": "xterm"}, {"scheduled": True}, Style.NONE),
        (True, {"TERM": "xterm"}, {"scheduled": True}, Style.TERMINAL),
        (False, {}, {}, Style.NONE),
        (False, {"TERM": ""}, {}, Style.NONE),
    ],
)
def test_progress_is_shown_where_a_person_may_look(terminal, environment, asked, expected):
    options = {"quiet": False, "scheduled": False, "document": False} | asked
    assert style(Stream(terminal=terminal), environment, **options) is expected


def test_a_log_gets_a_line_of_each_work_under_way_with_its_rate():
    now, stream = [100.0], Stream(terminal=False)
    display = Display(stream, Style.LOG, str, lambda: now[0])
    work = Work(name="reading the dump", whole=1000)
    with under_way(Operation("verify", "x", 0.0, [Timed("verify", 0.0)], list)), progress.under_way(work):
        for minute in range(1, 4):
            now[0], work.size = 100.0 + 60 * minute, 200 * minute
            display.show()
    display.show()
    first, _, third = stream.getvalue().splitlines()
    assert first == "step no. 1, 0:00, reading the dump 20 % 200B/1000B"
    assert third == "step no. 1, 2:00, reading the dump 60 % 600B/1000B 3B/s, time left: 2:00"


def test_a_counter_that_cannot_be_read_keeps_its_last_number():
    def look(work):
        raise ValueError("I/O operation on closed file")

    assert Work(name="reading the dump", size=5, look=look).updated().size == 5


def test_lines_that_are_drawn_again_after_other_output_leave_that_output_alone():
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal.draw([["0:01"], ["dumping the database"]])
    screen.erase()
    stream.write("a line of the run\n")
    before = len(stream.getvalue())
    terminal.draw([["0:02"], ["dumping the database"]])
    screen.erase()
    drawn = stream.getvalue()[before:]
    first, _, _ = drawn.partition("0:02")
    assert "\x1b[1A" not in first
