"""Our units and lines among those of others, and what a run must have that nobody types."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from korrigo_backup.app.unattended import prepare, require_in_files, surroundings_of
from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.artifact.keyring import read
from korrigo_backup.config.load import load
from korrigo_backup.errors import NotFound, Refused, Unreachable, UsageError
from korrigo_backup.schedule.model import JOBS, By, RunEnvironment
from korrigo_backup.schedule.schedule import Schedule
from korrigo_backup.schedule.systemd import Systemd
from korrigo_backup.schedule.unit_files import units
from korrigo_backup.schedule.units import UnitSchedule

AROUND = RunEnvironment(site="korrigo", identity="/srv/a", command=("/bin/true",), directory="/srv/a", path="/bin")
COMMAND = Path("/opt/bin/korrigo-backup")


@pytest.fixture
def place(tmp_path):
    return UnitSchedule(JOBS, AROUND, Systemd(tmp_path, system=True), media=lambda: None)


def write(place, texts):
    for name, text in texts.items():
        (place.systemd.directory / name).write_text(text)


def names(changes):
    return sorted(Path(change.where).name for change in changes)


def test_a_plan_skips_installed_units_and_removes_unwanted_units(place):
    assert not place.there()
    assert len(place.plan()) == 6
    write(place, units(JOBS, AROUND, system=True))
    assert place.plan() == []
    assert place.installed() == JOBS
    fewer = replace(place, wanted=JOBS[:1])
    gone = [f"korrigo-backup-{job}.{kind}" for job in ("drill", "weekly") for kind in ("service", "timer")]
    assert names(fewer.plan()) == gone
    assert [change.after for change in fewer.plan()] == [None] * 4


def test_units_of_another_site_or_person_are_neither_replaced_nor_removed(place):
    write(place, units(JOBS, replace(AROUND, identity="/srv/other"), system=True))
    (place.systemd.directory / "korrigo-backup-mine.timer").write_text("[Timer]\nOnCalendar=daily\n")
    assert not place.there()
    assert place.plan_removal() == []
    with pytest.raises(Refused, match=r"was not made by korrigo-backup for /srv/a"):
        place.plan()


def test_the_uploads_on_compose_are_asked_for_and_may_be_written(place, tmp_path):
    asked = replace(place, media=lambda: tmp_path / "volume")
    (service,) = [change.after for change in asked.plan() if change.where.endswith("/korrigo-backup.service")]
    assert f"ReadWritePaths=-{tmp_path}/volume" in service


def test_a_schedule_is_shown_also_while_the_stack_is_down(place):
    def down():
        raise Unreachable("the service backend is not running", hint="docker compose up -d")

    write(place, units(JOBS, AROUND, system=True))
    (found,) = Schedule((replace(place, media=down),)).installed()
    assert found.jobs == JOBS
    assert found.findings[-1].id == "schedule.unknown"


def test_hours_that_systemd_cannot_express_are_refused_with_the_next_step(place):
    odd = replace(place, wanted=(replace(JOBS[0], hours="0 3 1 * 0"),))
    with pytest.raises(UsageError, match="cannot be installed by systemd"):
        Schedule((odd,)).plan(By.SYSTEMD)
    with pytest.raises(NotFound):
        Schedule((odd,)).removal(None)


def configured(directory, text="", env=None, dotenv="POSTGRES_HOST=/run/postgresql\n"):
    (directory / ".env").write_text(dotenv)
    (directory / "korrigo-backup.toml").write_text(text)
    return load(directory, env or {})


def test_a_scheduled_run_gets_absolute_paths(tmp_path):
    config = configured(tmp_path, '[media]\nroot = "media"\n[schedule]\nlog = "log"\nwritable = ["/srv/metrics"]\n')
    around = surroundings_of(config, tmp_path, tmp_path / "other.toml", COMMAND)
    assert around.command == (str(COMMAND), "--config", str(tmp_path / "other.toml"))
    assert around.identity == str(tmp_path / "other.toml")
    assert around.writable == (f"{tmp_path}/backups", "/srv/metrics", f"{tmp_path}/media")
    assert around.log == f"{tmp_path}/log"
    assert "/run/postgresql" in around.needed
    assert not around.compose


def test_a_command_that_gains_rights_is_not_kept_from_it(tmp_path):
    config = configured(tmp_path, '[services]\nstart = [["sudo", "systemctl", "start", "korrigo"]]\n')
    around = surroundings_of(config, tmp_path, None, COMMAND)
    assert around.gains_rights
    service = units(JOBS, around, system=True)["korrigo-backup.service"]
    for confining in ("NoNewPrivileges", "CapabilityBoundingSet", "PrivateDevices", "ProtectClock", "Restrict"):
        assert confining not in service
    assert "ProtectSystem=strict" in service


@pytest.mark.contract("C5")
def test_what_only_the_shell_knows_is_named_and_never_shown(tmp_path):
    env = {"POSTGRES_PASSWORD": "s3cr3t", "DOCKER_HOST": "tcp://elsewhere", "POSTGRES_DB": "viatique"}
    config = configured(tmp_path, env=env, dotenv="POSTGRES_DB=viatique\n")
    with pytest.raises(Refused) as refused:
        require_in_files(config, tmp_path, None, env)
    assert refused.value.message.endswith("POSTGRES_PASSWORD, DOCKER_HOST")
    assert "s3cr3t" not in refused.value.message + refused.value.hint
    variables = "POSTGRES_PASSWORD=s3cr3t\nDOCKER_HOST=tcp://elsewhere\n"
    require_in_files(configured(tmp_path, env=env, dotenv=variables), tmp_path, None, env)


def test_a_user_that_does_not_exist_is_refused(tmp_path):
    config = configured(tmp_path, '[schedule]\nuser = "nobody-of-this-name"\n')
    with pytest.raises(UsageError, match="there is no user"):
        require_in_files(config, tmp_path, None, {})


def test_a_directory_that_no_crontab_can_hold_is_refused(tmp_path):
    with pytest.raises(UsageError, match="control character"):
        surroundings_of(configured(tmp_path), tmp_path / "a\nb", None, COMMAND)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs the schedule of another user")
def test_a_directory_that_another_user_must_own_is_not_made_by_root(tmp_path):
    text = f'[schedule]\nuser = "nobody"\n[backup]\ndir = "{tmp_path}/backups"\nkey_file = "{tmp_path}/key"\n'
    config = configured(tmp_path, text)
    catalog = Catalog(config.backup.dir, read(tmp_path / "key"))
    with pytest.raises(Refused, match="no backup directory"):
        prepare(config, catalog)
    (tmp_path / "backups").mkdir()
    with pytest.raises(Refused, match="no signing key"):
        prepare(config, catalog)
    assert not (tmp_path / "key").exists()
    mine = configured(tmp_path, text.replace('user = "nobody"', ""))
    prepare(mine, catalog)
    assert (tmp_path / "key").exists()
