"""`uninstall`: what goes, what stays, and that nothing of value goes."""

import json
import shlex

import pytest


@pytest.fixture
def installed(site, tmp_path):
    """A site with backups, a previous copy, scripts, settings, and a crontab of its own."""
    crontab = tmp_path / "crontab"
    crontab.write_text("5 4 * * * the-operator's-own\n")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "crontab"
    program.write_text(f'#!/bin/sh\ncase "$1" in -l) cat {crontab};; *) cat "${{1:--}}" >{crontab};; esac\n')
    program.chmod(0o755)
    lines = [
        f"{name}='{value}'\n"
        for name, value in site.env.items()
        if name.startswith(("POSTGRES", "MEDIA", "BACKUP", "KORRIGO_BACKUP"))
    ]
    (site.home / ".env").write_text("".join(lines))
    (site.home / ".env").chmod(0o600)
    site.korrigo("init", "--scripts")
    site.restore(site.backup())
    site.path = {"PATH": f"{tmp_path / 'bin'}:{site.env['PATH']}"}
    site.korrigo("schedule", "install", "--cron", env=site.path)
    site.crontab = crontab
    assert "korrigo-backup" in crontab.read_text()
    return site


def everything(site):
    return sorted(site.home.rglob("*")), site.databases(), site.crontab.read_text()


def test_a_dry_run_lists_what_goes_and_what_stays_and_changes_nothing(installed):
    installed.korrigo("show", "none", code=6)
    before = everything(installed)
    done = installed.korrigo("uninstall", "--dry-run", env=installed.path)
    goes, stays = done.out.split("📌 Stays")
    assert "crontab" in goes
    assert f"remove {installed.home / 'scripts' / 'backup_db.sh'}" in goes
    (previous,) = installed.previous_databases()
    for kept in (
        installed.backups,
        ".config/korrigo-backup/key",
        "korrigo-backup.toml",
        "korrigo-backup.env",
        ".local/state/korrigo-backup/failures.json",
    ):
        assert str(kept) in stays
    (drop,) = [line.partition(": ")[2] for line in stays.splitlines() if previous in line]
    assert shlex.split(drop)[-1] == previous
    assert everything(installed) == before


def test_the_hint_to_drop_a_previous_copy_is_a_command_that_can_be_typed(installed):
    stays = installed.korrigo("uninstall", "--dry-run", env=installed.path).out
    (previous,) = installed.previous_databases()
    (drop,) = [line.partition(": ")[2] for line in stays.splitlines() if previous in line]
    installed.run(shlex.split(drop), env={"PGPASSWORD": installed.env["POSTGRES_PASSWORD"]})
    assert not installed.previous_databases()


def test_schedule_and_scripts_go_after_yes_and_all_else_stays(installed):
    before = everything(installed)
    installed.korrigo("uninstall", stdin="no\n", env=installed.path, code=5)
    assert everything(installed) == before
    own = installed.home / "scripts" / "deploy.sh"
    own.write_text("the site's\n")
    done = installed.korrigo("uninstall", stdin="yes\n", env=installed.path)
    assert "pip uninstall korrigo-backup" in done.out.splitlines()[-1]
    assert installed.crontab.read_text() == "5 4 * * * the-operator's-own\n"
    assert list((installed.home / "scripts").iterdir()) == [own]
    files, databases, _ = everything(installed)
    gone = {path for path in before[0] if path not in files}
    assert {path.parent.name for path in gone} == {"scripts"}
    assert databases == before[1]
    installed.korrigo("verify", "latest")
    again = json.loads(installed.korrigo("uninstall", "--json", env=installed.path).out)
    assert again["removes"] == []
