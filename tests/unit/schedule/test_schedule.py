"""What is written into units and crontabs, and what is understood of hours."""

import shutil
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from korrigo_backup.app.build import wire
from korrigo_backup.config.load import load
from korrigo_backup.config.unattended import WEEKLY
from korrigo_backup.errors import UsageError
from korrigo_backup.schedule import crontab_lines as crontab
from korrigo_backup.schedule.model import (
    JOBS,
    RunEnvironment,
    check_hours,
    jobs,
    next_runs,
    on_calendar,
    overdue,
    times,
)
from korrigo_backup.schedule.unit_files import hours_in, is_ours, unit_name, units
from property_testing import given, st

AROUND = RunEnvironment(
    site="korrigo",
    identity="/srv/korrigo",
    command=("/bin/echo",),
    directory="/srv",
    path="/usr/bin:/bin",
    writable=("/srv/backups",),
    jitter=300,
    limit=43200,
)
ODD = replace(
    AROUND,
    identity='/tmp/a %h "b" $HOME \\x',
    directory='/tmp/a %h "b" $HOME \\x',
    command=("/bin/echo", "--config", "/tmp/50% $x 'y'.toml"),
    writable=("/tmp/with space",),
)


@pytest.fixture
def analyze():
    """systemd-analyze; it needs no running systemd."""
    program = shutil.which("systemd-analyze")
    if not program:
        pytest.skip("systemd-analyze is missing (Debian: apt-get install systemd)")

    def ask(*arguments):
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return ask


# systemd


@pytest.mark.contract("B7")
@pytest.mark.parametrize("around", [AROUND, ODD], ids=["plain", "odd"])
@pytest.mark.parametrize("system", [True, False], ids=["system", "user"])
def test_systemd_analyze_accepts_the_units(analyze, tmp_path, around, system):
    made = units(JOBS, around, system=system)
    for name, text in made.items():
        (tmp_path / name).write_text(text)
        assert is_ours(text, around.identity)
        assert not is_ours(text, "/srv/another")
    assert set(made) == {
        f"korrigo-backup{part}.{kind}" for part in ("", "-weekly", "-drill") for kind in ("timer", "service")
    }
    analyze("verify", "--man=no", *(tmp_path / name for name in made))


@pytest.mark.contract("T11")
def test_a_timer_has_one_hour_and_does_not_require_its_service():
    timer = units(JOBS, AROUND, system=True)["korrigo-backup.timer"]
    assert [line for line in timer.splitlines() if line.startswith("OnCalendar=")] == ["OnCalendar=*-*-* 03:00:00"]
    assert "Persistent=true" in timer
    assert "Requires=" not in timer
    assert hours_in(timer) == {"daily": "0 3 * * *"}


def test_what_a_site_in_a_temporary_directory_needs_is_not_hidden_from_it():
    assert "PrivateTmp=yes" in units(JOBS, AROUND, system=True)["korrigo-backup.service"]
    there = replace(AROUND, directory="/tmp/site")
    assert "PrivateTmp=no" in units(JOBS, there, system=True)["korrigo-backup.service"]


def test_names_of_sites_become_names_of_units():
    assert unit_name("korrigo", "daily") == "korrigo-backup"
    assert unit_name("Lycée Saint-Exupéry / 2", "weekly") == "Lyc-e-Saint-Exup-ry-2-backup-weekly"
    assert unit_name("…", "daily") == "site-backup"


HOURS = st.builds(
    " ".join,
    st.tuples(
        st.sampled_from(["*", "0", "59", "*/7", "3-50/9", "5,35"]),
        st.sampled_from(["*", "3", "*/5", "1-4", "0,12,23"]),
        st.sampled_from(["*", "1", "*/9", "29-31", "2,30"]),
        st.sampled_from(["*", "2", "JAN-MAR", "*/5"]),
        st.just("*"),
    ),
) | st.sampled_from(["0 4 * * 0", "30 2 * * 7", "0 1 * * MON-FRI", "5 5 * * 5-7", "0 0 */2 * SUN"])


def test_systemd_means_the_same_times_as_cron(analyze):
    @given(st.lists(HOURS, min_size=8, max_size=8), st.datetimes(datetime(2024, 1, 1), datetime(2032, 1, 1)))
    def same(expressions, start):
        start = start.replace(second=30, microsecond=0)
        expressions = [e for e in expressions if possible(e)]
        output = analyze("calendar", f"--base-time={start}", *map(on_calendar, expressions)) if expressions else ""
        found = [line.split(": ", 1)[1].split(" ")[1:3] for line in output.splitlines() if "Next elapse" in line]
        ours = [f"{next(times(e, start.astimezone())):%Y-%m-%d %H:%M:00}".split() for e in expressions]
        assert found == ours

    same()


def possible(expression):
    try:
        return check_hours(expression)
    except ValueError:
        return False


def test_hours_that_one_timer_cannot_say_are_refused_for_systemd_alone():
    assert check_hours("0 3 1 * 0") == "0 3 1 * 0"
    with pytest.raises(ValueError, match="either day in cron, both in systemd"):
        on_calendar("0 3 1 * 0")


# cron


TEXTS = st.lists(
    st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")) | st.sampled_from([b"MAILTO=a@b", b"# BEGIN x", b""])
).map(lambda lines: b"".join(line + b"\n" for line in lines))


@given(TEXTS, TEXTS, st.sampled_from(["/srv/a", "/srv/é \udcff"]))
def test_only_our_lines_of_a_crontab_ever_change(before, after, identity):
    around = replace(AROUND, identity=identity)
    block, other = crontab.block(JOBS, around), crontab.block(JOBS[:1], around)
    installed = crontab.with_block(before, identity, block)
    assert installed == before + block
    assert crontab.block_in(installed, identity) == block
    assert crontab.with_block(installed, identity, block) == installed
    assert crontab.without_block(installed, identity) == before
    assert crontab.with_block(before + block + after, identity, other) == before + other + after
    assert crontab.without_block(before + block + after, identity) == before + after
    assert crontab.block_in(before, identity) is None
    assert crontab.without_block(before, identity) == before


def test_two_sites_share_a_crontab():
    first, second = (replace(AROUND, identity=name) for name in ("/srv/a", "/srv/ab"))
    both = crontab.with_block(crontab.block(JOBS, first), "/srv/ab", crontab.block(JOBS, second))
    assert crontab.without_block(both, "/srv/a") == crontab.block(JOBS, second)


@pytest.mark.parametrize("cut", ["# END", "# BEGIN"])
def test_a_block_with_half_of_its_marks_is_not_touched(cut):
    block = crontab.block(JOBS, AROUND)
    broken = b"".join(line for line in block.splitlines(keepends=True) if not line.startswith(cut.encode()))
    for edit in (crontab.without_block, crontab.block_in):
        with pytest.raises(ValueError, match="BEGIN and a single END"):
            edit(broken, AROUND.identity)
    with pytest.raises(ValueError, match="BEGIN and a single END"):
        crontab.with_block(block + block, AROUND.identity, block)


@pytest.mark.contract("B7")
def test_a_line_means_the_same_to_the_shell_as_it_was_meant(tmp_path):
    place = tmp_path / "a 50% $HOME 'b' \"c\""
    place.mkdir()
    around = replace(
        AROUND, identity=str(place), directory=str(place), command=("/usr/bin/env",), log=str(place / "log"), jitter=0
    )
    job = replace(JOBS[0], arguments=("sh", "-c", 'printf "%s\n" "$PWD" "$PATH" "$@"', "x", "a b", "5%", "$y"))
    line = crontab.block([job], around).decode().splitlines()
    assert crontab.hours_in(crontab.block([job], around)) == {"daily": "0 3 * * *"}
    # one line but for the new line inside printf's format, which no job of ours has
    command = "\n".join(line[2:-1]).removeprefix("0 3 * * * ").replace("\\%", "%")
    subprocess.run(["/bin/sh", "-c", command], check=True)
    assert (place / "log").read_text().splitlines() == [str(place), "/usr/bin:/bin", "a b", "5%", "$y"]


def test_a_line_that_cron_would_refuse_is_refused_before():
    with pytest.raises(ValueError, match="more than 998 bytes"):
        crontab.block(JOBS, replace(AROUND, directory="/" + "x" * 1000))


def test_other_lines_that_back_up_are_found():
    text = b"# ./scripts/backup_db.sh\nMAILTO=x\n0 3 * * * cd /k && ./scripts/backup_db.sh >> /var/log/k 2>&1\n"
    text += b"0 4 * * 0 cd /k && docker compose exec -T backend python manage.py backup --include-media\n@daily true\n"
    assert crontab.elsewhere(text + crontab.block(JOBS, AROUND), AROUND.identity) == [3, 4]


# hours


@pytest.mark.contract("B7")
def test_the_hours_are_the_runbooks(tmp_path):
    schedule = load(tmp_path, {}).schedule
    assert (schedule.daily, WEEKLY, schedule.drill) == ("0 3 * * *", "0 4 * * 0", "0 5 * * 0")
    hours = [("daily", schedule.daily), ("weekly", WEEKLY), ("drill", schedule.drill)]
    assert [(job.id, job.hours) for job in JOBS] == hours


@pytest.mark.contract("D1")
def test_the_weekly_drill_restores_database_and_media_and_alone_it_makes_its_own_backup():
    hours = {"daily": "0 3 * * *", "drill": "0 5 * * 0"}
    (_, drill) = jobs(hours)
    assert drill.arguments == ("drill", "--with-media", "--wait", "2h")
    assert not drill.backs_up
    (alone,) = jobs({"drill": hours["drill"]})
    assert alone.arguments == ("nightly", "--db", "--depth", "full", "--wait", "2h")
    assert alone.backs_up


@pytest.mark.contract("D3", "D4")
def test_a_disaster_and_an_incident_are_scheduled_where_their_hours_are_set(tmp_path):
    assert not {job.id for job in wire(tmp_path, {}, None).jobs()} & {"disaster", "incident"}
    (tmp_path / "korrigo-backup.toml").write_text('[schedule]\ndisaster = "0 6 1 * *"\nincident = "0 7 1 1,4,7,10 *"\n')
    found = {job.id: (job.hours, job.arguments) for job in wire(tmp_path, {}, None).jobs()}
    assert found["disaster"] == ("0 6 1 * *", ("drill", "--level", "disaster"))
    assert found["incident"] == ("0 7 1 1,4,7,10 *", ("drill", "--level", "incident"))


@pytest.mark.parametrize(
    "hours",
    [
        "3:00",
        "0 3 * *",
        "60 3 * * *",
        "0 3 31 2 *",
        "@daily",
        "0 3 L * *",
        "5/10 3 * * *",
        "0 3 * * 0#2",
        "0 3 * * *\n* * * * *",
    ],
)
def test_hours_that_are_none_are_refused_with_the_key(tmp_path, hours):
    (tmp_path / "korrigo-backup.toml").write_text(f"[schedule]\ndaily = {hours!r}\n".replace("'", '"'))
    with pytest.raises(UsageError, match=r"schedule\.daily"):
        load(tmp_path, {})


@given(HOURS.filter(possible), st.datetimes(datetime(2024, 1, 1), datetime(2032, 1, 1)))
def test_no_time_is_passed_over_and_none_is_invented(expression, start):
    now = start.astimezone()
    after, before = next(times(expression, now)), next(times(expression, now, back=True))
    assert before < now < after
    assert next(times(expression, before)) >= now.replace(second=0, microsecond=0)
    assert next(times(expression, after - timedelta(seconds=1))) == after


def test_the_soonest_run_comes_first_and_a_backup_is_missed_once_its_grace_is_over():
    saturday = datetime(2026, 11, 28, 12).astimezone()
    assert [(run.job, run.at.isoformat()[:16]) for run in next_runs(JOBS, saturday)] == [
        ("daily", "2026-11-29T03:00"),
        ("weekly", "2026-11-29T04:00"),
        ("drill", "2026-11-29T05:00"),
    ]
    grace = timedelta(hours=3)
    made = datetime(2026, 11, 28, 3, 1).astimezone()
    assert overdue(JOBS, made, saturday, grace) is None
    assert overdue(JOBS, made, saturday + timedelta(hours=17, minutes=59), grace) is None
    assert overdue(JOBS, made, saturday + timedelta(hours=18, minutes=1), grace) == saturday + timedelta(hours=15)
    assert overdue(JOBS, None, saturday, grace) == datetime(2026, 11, 28, 3).astimezone()
    assert overdue((), None, saturday, grace) is None


def arguments(directory, settings="", media="media"):
    (directory / "korrigo-backup.toml").write_text(f"[schedule]\n{settings}\n")
    environment = {"POSTGRES_HOST": "db"} | ({"MEDIA_ROOT": str(directory / media)} if media else {})
    return {job.id: " ".join(job.arguments[:2]) for job in wire(directory, environment, None).jobs()}


@pytest.mark.parametrize(
    ("settings", "media", "daily", "weekly"),
    [
        ("", "media", "nightly --full", None),
        ('weekly = "0 4 * * 0"', "media", "nightly --full", "nightly --full"),
        ('media = "weekly"', "media", "nightly --db", "nightly --full"),
        ('daily = "never"', "media", None, "nightly --full"),
        ("", "", "nightly --db", "nightly --full"),
    ],
)
def test_the_media_are_saved_every_night_unless_it_is_set_otherwise(tmp_path, settings, media, daily, weekly):
    found = arguments(tmp_path, settings, media)
    assert (found.get("daily"), found.get("weekly")) == (daily, weekly)
