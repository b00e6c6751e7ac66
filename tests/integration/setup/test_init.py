"""`init`: what is found in a project, what is written, what is checked, and that a backup runs with it."""

import contextlib
import os
import pty
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from korrigo_backup.config.load import load
from sandbox import KORRIGO, PROJECT, USER_PASSWORD

NAMES = (
    "POSTGRES_HOST",
    "POSTGRES_PORT",
    "POSTGRES_DB",
    "POSTGRES_USER",
    "POSTGRES_PASSWORD",
    "MEDIA_ROOT",
    "BACKUP_DIR",
)
BARE = dict.fromkeys(NAMES)
"""Nothing from the environment, as on a server."""

MANAGE = """\
import os, sys
from pathlib import Path
from django.conf import settings
from django.core.management import execute_from_command_line
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "%s", "USER": "%s", "HOST": "%s",
                           "PORT": "%s", "PASSWORD": os.environ["DJANGO_DATABASE_PASSWORD"]}},
    MEDIA_ROOT=Path("%s"), INSTALLED_APPS=[], SECRET_KEY="s3cret-key")
print("a site that prints when it starts")
execute_from_command_line(sys.argv)
"""


def config(site):
    return site.home / "korrigo-backup.toml"


def in_dotenv(site, *names):
    """Settings as an operator has them."""
    path = site.home / ".env"
    path.write_text("".join(f"{name}='{site.env[name]}'\n" for name in names))
    path.chmod(0o600)


@pytest.mark.contract("C4")
def test_a_site_reached_directly_is_configured_checked_and_backed_up(site):
    in_dotenv(site, *NAMES)
    done = site.korrigo("init", env=BARE)
    for line in ("PostgreSQL", "pg_dump", "psql", "Python 3", "may create the database", "4 files", "is private",
                 "database and media every night from now on", "twice the data", "no recovery kit", "korrigo-backup backup full"):  # fmt: skip
        assert line in done.out
    assert config(site).stat().st_mode & 0o777 == 0o600
    written = load(site.home, {})
    assert written.database.name == site.database
    assert USER_PASSWORD not in config(site).read_text() + done.output
    assert (site.home / ".config" / "korrigo-backup" / "key").exists()
    site.korrigo("backup", "full", env=BARE)
    assert "No change is needed" in site.korrigo("init", "--dry-run", env=BARE).out


def test_init_reads_the_django_settings_if_the_environment_is_empty(site):
    in_dotenv(site, "POSTGRES_PASSWORD")
    with (site.home / ".env").open("a") as file:
        file.write("DJANGO_DATABASE_PASSWORD=very-s3cret\n")
    access = site.server.access()
    backend = site.home / "backend"
    python = backend / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (python.parents[1] / "pyvenv.cfg").write_text((Path(sys.prefix) / "pyvenv.cfg").read_text())
    (python.parents[1] / "lib").symlink_to(Path(sys.prefix) / "lib")
    (backend / "manage.py").write_text(MANAGE % (site.database, site.user, access.host, access.port, site.media))
    done = site.korrigo("init", env=BARE)
    found = tomllib.loads(config(site).read_text())
    assert found["database"] == {"name": site.database, "host": access.host, **port(access)}
    assert found["media"] == {"root": str(site.media), "archive_root": str(site.media).lstrip("/")}
    assert found["django"] == {"manage": [str(python), "manage.py"], "dir": "backend"}
    assert "very-s3cret" not in done.output + config(site).read_text()
    site.korrigo("backup", env=BARE)


def port(access):
    return {} if access.port == 5432 else {"port": access.port}


def test_a_manage_py_that_fails_is_a_warning_without_its_secrets(site):
    in_dotenv(site, *NAMES)
    with (site.home / ".env").open("a") as file:
        file.write("DATABASE_URL=postgres://me:very-s3cret@host/db\n")
    (site.home / "manage.py").write_text("import os\nraise SystemExit('no ' + os.environ['DATABASE_URL'])\n")
    done = site.korrigo("init", env=BARE)
    assert "but its settings cannot be read" in done.out
    assert "very-s3cret" not in done.output


def django_project(site, password):
    """A project whose settings have the password of the database themselves."""
    access = site.server.access()
    text = MANAGE.replace('os.environ["DJANGO_DATABASE_PASSWORD"]', repr(password))
    place = (site.database, site.user, access.host, access.port, site.media)
    (site.home / "manage.py").write_text(text % place)


def test_the_password_of_the_django_settings_is_tried_and_kept_in_a_private_file(site):
    django_project(site, USER_PASSWORD)
    done = site.korrigo("init", env=BARE)
    assert "✅ The password of the database is that of Django's settings" in done.out
    own = site.home / "korrigo-backup.env"
    assert f"POSTGRES_PASSWORD='{USER_PASSWORD}'\n" in own.read_text()
    assert own.stat().st_mode & 0o777 == 0o600
    assert not (site.home / ".env").exists()
    assert USER_PASSWORD not in done.output + config(site).read_text()
    site.korrigo("backup", env=BARE)
    assert "Password" not in site.korrigo("init", "--force", env=BARE).out


def test_a_password_that_is_nowhere_is_asked_for_on_a_terminal_and_not_elsewhere(site):
    django_project(site, "wr0ng-one")
    done = site.korrigo("init", "--dry-run", env=BARE, code=4)
    assert "no password supplied" in done.out
    environment = {name: value for name, value in (site.env | BARE).items() if value is not None}
    output = on_terminal([KORRIGO, "init"], site.home, environment, "wr0ng-two\n", f"{USER_PASSWORD}\n")
    assert f"Password of the role {site.user} at {site.server.access().host}:" in output
    assert "✅ Password of the database: in korrigo-backup.env (mode 600)" in output
    assert USER_PASSWORD not in output
    site.korrigo("backup", env=BARE)


def on_terminal(argv, directory, environment, *answers):
    """Run a command on a terminal of its own; each answer is typed when a question for a password is there."""
    child, terminal = pty.fork()
    if not child:
        os.chdir(directory)
        os.execve(argv[0], [str(word) for word in argv], environment)  # noqa: S606 - a terminal of its own needs a fork
    output, left = b"", list(answers)
    with contextlib.suppress(OSError):  # the end of a terminal
        while chunk := os.read(terminal, 65536):
            output += chunk
            if left and output.count(b"Password of") > len(answers) - len(left):
                os.write(terminal, left.pop(0).encode())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, output.decode()
    return output.decode()


def test_a_command_below_the_directory_of_the_configuration_works_there_as_git_does(site):
    in_dotenv(site, *NAMES)
    site.korrigo("init", env=BARE)
    below = site.home / "code" / "deep"
    below.mkdir(parents=True)
    environment = {name: value for name, value in (site.env | BARE).items() if value is not None}

    def typed(*words, code=0):
        done = subprocess.run(
            [KORRIGO, *words], cwd=below, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    typed("backup", "db")
    made = site.one("db_backup_*.sql.gz")
    shutil.copytree(site.backups, below / "copies")
    assert made.name in typed("verify", f"copies/{made.name}")
    typed("compare", "--save", "state.json")
    assert (below / "state.json").is_file()
    assert "configuration:" in typed("init", code=4)
    assert not (below / "korrigo-backup.toml").exists()
    (below / "db").mkdir()
    typed("backup", "db")


def test_init_keeps_backups_and_secrets_out_of_git(site):
    in_dotenv(site, *NAMES)
    environment = BARE | {"BACKUP_DIR": None, "GIT_CONFIG_GLOBAL": "/dev/null"}
    (site.home / ".env").write_text((site.home / ".env").read_text().replace("BACKUP_DIR=", "OTHER="))
    site.run(["git", "init", "--quiet"], env=environment)
    done = site.korrigo("init", env=environment)
    assert "✅ backups/.gitignore keeps the backups out of git" in done.out
    assert "may read .gitignore" not in done.out
    assert (site.home / "backups" / ".gitignore").stat().st_mode & 0o777 == 0o600
    assert "hint: put into .gitignore: /.env /korrigo-backup.env" in done.out
    site.korrigo("backup", "db", env=environment)
    (site.home / ".gitignore").write_text("/.env\n/korrigo-backup.env\n")
    seen = site.run(["git", "status", "--porcelain", "--untracked-files=all", "."], env=environment).out
    assert not re.search(r"backups|\.env", seen)
    assert ".gitignore:" not in site.korrigo("init", "--force", env=environment).out
    assert "gitignore" not in site.korrigo("status", env=environment, code=(0, 10)).out


def test_init_ends_with_the_rehearsal_and_then_with_its_proof(site):
    in_dotenv(site, *NAMES)
    done = site.korrigo("init", env=BARE)
    assert done.out.splitlines()[-1].split("  ")[0:2] == ["", " korrigo-backup drill latest-point"]
    assert "no recovery kit" in done.out
    assert "no address is notified" in done.out
    assert not re.search("korrigo-backup (kit make|notify test)", done.out), "they would only fail"
    site.korrigo("backup", "full", env=BARE)
    site.korrigo("drill", "latest-point", env=BARE)
    last = site.korrigo("init", "--force", env=BARE).out.splitlines()[-1]
    assert re.fullmatch(r"✅ You can restore: proven at \d\d:\d\d on \d{4}-\d\d-\d\d in \d+ s", last)


def test_an_empty_directory_is_not_a_site_and_stays_empty(site, tmp_path):
    (tmp_path / "empty").mkdir()
    done = site.korrigo("init", "--directory", tmp_path / "empty", env=BARE, code=2)
    assert f"there is no site in {tmp_path / 'empty'}: the way to reach the site's database is unknown" in done.err
    assert "MEDIA_ROOT" not in done.out
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_dry_run_shows_the_file_and_changes_nothing(site):
    in_dotenv(site, *NAMES)
    before = sorted(site.home.rglob("*"))
    assert "[database]" in site.korrigo("init", "--dry-run", env=BARE).out
    assert sorted(site.home.rglob("*")) == before


@pytest.mark.promise("P7")
def test_a_dry_run_shows_no_secret_of_a_former_file(site):
    in_dotenv(site, *NAMES)
    (site.home / ".env").write_text((site.home / ".env").read_text().replace(USER_PASSWORD, ""))
    config(site).write_text(f"[database]\npassword = '{USER_PASSWORD}'\n")
    assert USER_PASSWORD not in site.korrigo("init", "--dry-run", env=BARE).output


def test_a_configuration_is_kept_unless_forced_and_then_its_settings_stay(site):
    in_dotenv(site, *NAMES)
    text = '[site]\nname = "ours"\n[services]\nstop = [["systemctl", "stop", "a b"]]\n# a remark\n'
    config(site).write_text(text)
    assert "--force" in site.korrigo("init", env=BARE, code=4).err
    assert config(site).read_text() == text
    site.korrigo("init", "--force", env=BARE)
    (former,) = site.home.glob("korrigo-backup.toml.bak-*")
    assert former.read_text() == text
    written = load(site.home, {})
    assert (written.site.name, written.services.stop) == ("ours", (("systemctl", "stop", "a b"),))
    site.korrigo("init", "--force", env=BARE)
    assert list(site.home.glob("*.bak-*")) == [former]


def test_init_force_keeps_an_unreadable_configuration_as_a_backup_file(site):
    in_dotenv(site, *NAMES)
    config(site).write_text("[database")
    assert "not taken over" in site.korrigo("init", "--force", env=BARE).out
    (former,) = site.home.glob("korrigo-backup.toml.bak-*")
    assert former.read_text() == "[database"
    assert load(site.home, {}).database.name == site.database


def test_the_name_that_the_backups_carry_stays_and_a_new_site_is_named_after_its_directory(site):
    in_dotenv(site, *NAMES)
    site.korrigo("backup", env=BARE)
    site.korrigo("init", env=BARE)
    assert load(site.home, {}).site.name == "korrigo"
    shutil.rmtree(site.backups)
    config(site).unlink()
    site.korrigo("init", env=BARE)
    assert load(site.home, {}).site.name == site.home.name


def test_init_reports_a_failed_connection_and_still_writes_the_configuration(site):
    in_dotenv(site, *NAMES)
    done = site.korrigo("init", env=BARE | {"POSTGRES_PASSWORD": "wr0ng-one"}, code=3)
    assert "❌" in done.out
    assert "password authentication failed" in done.out
    assert "wr0ng-one" not in done.output
    assert config(site).exists()


def test_a_role_that_may_not_create_databases_and_a_server_clients_do_not_fit_are_named(site):
    in_dotenv(site, *NAMES)
    site.sql(f"ALTER ROLE {site.user} NOCREATEDB", "postgres", superuser=True)
    try:
        done = site.korrigo("init", env=BARE)
    finally:
        site.sql(f"ALTER ROLE {site.user} CREATEDB", "postgres", superuser=True)
    assert "🚫 As it is now, no restore is possible next to the live data" in done.out
    assert f"sudo -u postgres psql -c 'ALTER ROLE \"{site.user}\" CREATEDB'" in done.out
    clients = site.home / "clients"
    clients.mkdir()
    (clients / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    (clients / "psql").symlink_to(site.server.access().client_dir / "psql")
    (clients / "pg_dump").chmod(0o755)
    done = site.korrigo("init", "--dry-run", env=BARE | {"KORRIGO_BACKUP_CLIENT_DIR": str(clients)}, code=4)
    assert "pg_dump 9.6 is older than the server" in done.out


@pytest.mark.contract("C2")
def test_a_compose_project_is_understood_without_an_engine(site, tmp_path):
    stack = tmp_path / "stack"
    shutil.copytree(PROJECT / "infra", stack / "infra", symlinks=True)
    (stack / ".env").write_text("POSTGRES_PASSWORD=s3cret\nDJANGO_SECRET_KEY=s3cret\n")
    done = site.korrigo("init", "--dry-run", "--directory", stack, env=BARE | {"PATH": "/nowhere"}, code=4)
    assert "the database is the service db (postgres:15-alpine)" in done.out
    assert "the media are in /app/media of the service backend" in done.out
    assert "others may read .env" in done.out
    assert "neither docker compose nor docker-compose" in done.out
    shown = done.out[done.out.index("# The configuration") : done.out.index("🔎")]
    assert {section: keys for section, keys in tomllib.loads(shown).items() if keys} == {}
    assert "s3cret" not in done.output


def test_init_reports_the_line_of_an_invalid_compose_file_and_writes_no_configuration(site):
    (site.home / "compose.yaml").write_text("services: [s3cret\n")
    done = site.korrigo("init", env=BARE, code=2)
    assert "compose.yaml, line 2: not valid YAML" in done.err
    assert "s3cret" not in done.output
    assert not config(site).exists()


TWO = """\
services:
  one: {image: "postgres:16", environment: {POSTGRES_DB: first}, volumes: ["a:/var/lib/postgresql/data"]}
  two: {image: "postgres:16", environment: {POSTGRES_DB: second}, volumes: ["b:/var/lib/postgresql/data"]}
  web: {image: site, command: gunicorn x, depends_on: [one, two], volumes: ["m:/srv/media"]}
"""


def test_init_refuses_to_choose_between_two_databases_and_writes_no_configuration(site):
    (site.home / "compose.yaml").write_text(TWO)
    done = site.korrigo("init", env=BARE, code=2)
    assert "compose.yaml: one and two are PostgreSQL" in done.err
    assert "hint: korrigo-backup init --db one, or --db two" in done.err
    assert not config(site).exists()


def test_the_services_that_are_typed_are_written_and_stay(site):
    (site.home / "compose.yaml").write_text(TWO)
    assert "no service 'three'" in site.korrigo("init", "--db", "three", env=BARE, code=2).err
    site.korrigo("init", "--db", "two", env=BARE, code=3)  # nothing runs here
    found = tomllib.loads(config(site).read_text())
    assert (found["compose"]["db"], found["database"]["name"]) == ("two", "second")
    site.korrigo("init", "--force", env=BARE, code=3)
    assert tomllib.loads(config(site).read_text()) == found
    site.korrigo("init", "--force", "--db", "one", "--backend", "web", env=BARE, code=3)
    found = tomllib.loads(config(site).read_text())
    assert (found["compose"]["db"], found["database"]["name"]) == ("one", "first")


def test_a_foreign_line_of_dotenv_is_named_by_its_number_and_stops_no_backup(site):
    in_dotenv(site, *NAMES)
    with (site.home / ".env").open("a") as file:
        file.write("*** very-s3cret ***\n")
    done = site.korrigo("backup", "db", env=BARE)
    assert f".env, line {len(NAMES) + 1} is left out" in done.err
    assert "is left out" in site.korrigo("doctor", env=BARE).out
    assert "very-s3cret" not in done.output


def test_settings_of_ours_get_a_file_that_no_deployment_writes_anew(site):
    in_dotenv(site, *NAMES)
    with (site.home / ".env").open("a") as file:
        file.write('KORRIGO_BACKUP_SITE="it\'s ours"\nKORRIGO_BACKUP_HEALTHCHECKS_URL=https://hc.example/t0ken\n')
    done = site.korrigo("init", env=BARE)
    own = site.home / "korrigo-backup.env"
    assert "✅ Own settings: korrigo-backup.env (mode 600, before .env), 3 taken over from .env" in done.out
    assert own.stat().st_mode & 0o777 == 0o600
    assert "t0ken" not in done.output
    assert USER_PASSWORD not in own.read_text()
    in_dotenv(site, "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD", "MEDIA_ROOT")
    config = load(site.home, {})
    assert config.notify.healthchecks_url
    assert config.notify.healthchecks_url.reveal() == "https://hc.example/t0ken"
    assert (config.backup.dir, config.site.name) == (site.backups, "it's ours")
    before = own.read_bytes()
    own.write_bytes(before + b"# a person's\n")
    site.korrigo("init", "--force", env=BARE)
    assert own.read_bytes() == before + b"# a person's\n"


def test_the_sites_own_scripts_of_the_runbooks_names_are_named_and_replaced_when_asked(site):
    in_dotenv(site, *NAMES)
    theirs = site.home / "scripts" / "backup_db.sh"
    theirs.parent.mkdir()
    theirs.write_text("#!/bin/bash\npg_dump site > /srv/korrigo-backup/db_backup_1.sql\n")
    (theirs.parent / "deploy.sh").write_text("of the site\n")
    done = site.korrigo("init", env=BARE)
    assert "⚠️ scripts/backup_db.sh is the site's own script, not that of this program" in done.out
    assert "korrigo-backup init --scripts" in done.out
    before = config(site).read_bytes()
    done = site.korrigo("init", "--scripts", env=BARE)
    former = site.home / "scripts" / re.findall(r"formerly: (backup_db\.sh\.bak-\d{8}_\d{6})", done.out)[0]
    assert former.read_text().endswith("pg_dump site > /srv/korrigo-backup/db_backup_1.sql\n")
    assert config(site).read_bytes() == before
    assert len(list(theirs.parent.glob("*.sh"))) == len(list((PROJECT / "scripts").glob("*.sh"))) + 1  # deploy.sh
    assert "✅ Backup created" in site.run([theirs]).out
    site.korrigo("verify", "latest")
    gone = site.run([theirs], env={"PATH": "/usr/bin:/bin"}, code=0)
    assert "✅ Backup created" in gone.out
    theirs.write_text(re.sub(r"^PATH=.*$", "", theirs.read_text(), flags=re.MULTILINE))
    assert f"hint: python3 -m pip install {PROJECT}\n" in site.run([theirs], env={"PATH": "/usr/bin:/bin"}, code=2).err
    site.korrigo("init", "--scripts", env=BARE)
    assert "scripts/" not in site.korrigo("doctor", env=BARE).out
    assert "scripts are ours already" in site.korrigo("init", "--scripts", env=BARE).out
    theirs.unlink()
    config(site).unlink()
    assert "✅ scripts/backup_db.sh calls korrigo-backup" in site.korrigo("init", "--scripts", env=BARE).out


def test_the_scripts_are_written_anywhere_also_without_a_site(site, tmp_path):
    (tmp_path / "bare").mkdir()
    done = site.run([KORRIGO, "init", "--scripts", tmp_path / "there" / "bin"], env=BARE)
    assert f"✅ {tmp_path}/there/bin/backup_db.sh calls korrigo-backup" in done.out
    assert not config(site).exists()
    in_dotenv(site, *NAMES)
    assert "✅ Backup created" in site.run([tmp_path / "there" / "bin" / "backup_db.sh"], env=BARE).out
    assert "--scripts DIR" in site.korrigo("init", tmp_path, env=BARE, code=2).err
