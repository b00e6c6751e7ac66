"""A bare server comes back from the recovery kit and a target alone, by the commands that the documents give."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from korrigo_backup.postgres.throwaway import ThrowawayServer
from sandbox import KORRIGO, PROJECT, USER, USER_PASSWORD, Sandbox, connect
from servers import bindir
from targetservers import RCLONE
from targetsite import cloud

SETTINGS = (
    "POSTGRES_DB",
    "POSTGRES_USER",
    "POSTGRES_PASSWORD",
    "MEDIA_ROOT",
    "BACKUP_DIR",
    "KORRIGO_BACKUP_CLIENT_DIR",
)
AWS = shutil.which("aws") or shutil.which("aws", path=str(Path(sys.executable).parent))
ADDRESS = ("POSTGRES_HOST", "POSTGRES_PORT")
BARE = dict.fromkeys((*SETTINGS, *ADDRESS))


@pytest.fixture
def new_server(tmp_path):
    """Another PostgreSQL, with another identity, that has the site's role and no database of it."""
    with ThrowawayServer(bindir(), home=tmp_path / "new server") as running:
        with connect(running) as connection:
            connection.execute(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{USER_PASSWORD}'")
        yield running


def settle(site, *sections, s3):
    """Give the site its settings in files, as on a real server; nothing comes from the environment."""
    env = site.env
    (site.home / ".env").write_text("".join(f"{name}={shlex.quote(env[name])}\n" for name in (*SETTINGS, *ADDRESS)))
    (site.home / ".env").chmod(0o600)
    (site.home / "korrigo-backup.toml").write_text("\n".join(sections))
    (site.home / "korrigo-backup.env").write_text("".join(f"{name}={value}\n" for name, value in s3.env.items()))
    (site.home / "korrigo-backup.env").chmod(0o600)


def section(text, title):
    """The commands of a section of a README."""
    found: str = re.findall(rf"## [0-9]+\. {title}.*?```sh\n(.*?)```", text, re.DOTALL)[0]
    return found


def documented(tool):
    """The command of docs/how-to/second-place.md that brings the kits from a target."""
    page = (PROJECT / "docs" / "how-to" / "second-place.md").read_text()
    lines = page.split("## When the server is gone")[1].split("## ")[0].splitlines()
    return next(line.removeprefix("$ ") for line in lines if line.startswith(f"$ {tool}"))


def burn(site):
    """Lose the site, its backups, its configuration and its keys."""
    shutil.rmtree(site.home)
    with connect(site.server) as connection:
        connection.execute(f'DROP DATABASE "{site.database}" WITH (FORCE)')


class NewServer:
    """The machine of the operator: the tools of the documents, the private key, and the address of the target."""

    def __init__(self, tmp_path, home, s3, ssh):
        self.holder, tools = tmp_path / "holder", tmp_path / "tools"
        self.holder.mkdir()
        tools.mkdir()
        for name, program in {"rclone": RCLONE, "korrigo-backup": KORRIGO, "aws": AWS}.items():
            if program:
                (tools / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
                (tools / name).chmod(0o700)
        self.env = s3.env | {
            "PATH": f"{tools}:/usr/bin:/bin",
            "HOME": str(home),
            "AWS_ENDPOINT_URL": s3.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "RSYNC_RSH": shlex.join((*ssh.words, "-p", str(ssh.port))),
            "RCLONE_CONFIG_CLOUD_TYPE": "s3",
            "RCLONE_CONFIG_CLOUD_PROVIDER": "Other",
            "RCLONE_CONFIG_CLOUD_ENV_AUTH": "true",
            "RCLONE_CONFIG_CLOUD_ENDPOINT": s3.endpoint,
        }

    def run(self, commands, at):
        done = subprocess.run(
            ["sh", "-euc", commands], cwd=at, env=self.env, capture_output=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout.decode()}\n{done.stderr.decode()}"
        return done.stdout.decode()


@pytest.mark.contract("C5", "B9", "R7")
@pytest.mark.parametrize(
    ("tool", "store", "superuser"),
    [("rclone", True, False), ("rclone", True, True), ("rsync", True, False), ("aws", False, False)],
)
def test_a_bare_server_comes_back_from_the_kit_and_a_target(
    site, s3, ssh, new_server, tmp_path, tool, store, superuser
):
    if tool == "aws" and not AWS:
        pytest.skip("needs the AWS command line: pip install awscli")
    site.superuser = superuser
    operator, identity, there = NewServer(tmp_path, site.home, s3, ssh), pyrage.x25519.Identity.generate(), s3.data
    (operator.holder / "korrigo-kit.txt").write_text(f"{identity}\n")
    target = cloud(site, s3)
    if tool == "rsync":
        words, there = str(list(ssh.words)).replace("'", '"'), ssh.data
        target = f'[targets.nas]\nurl = "ssh://root@127.0.0.1:{ssh.port}{there}/{site.database}"\nssh = {words}'
    recipients = f'[kit]\nrecipients = ["{identity.to_public()}"]'
    settle(site, recipients, f"[media]\nstore = {str(store).lower()}", target, s3=s3)
    site.korrigo("backup", "full", env=BARE)
    site.sql("INSERT INTO exam (name) VALUES ('after the restore point')")
    site.korrigo("backup", "db", env=BARE)
    site.korrigo("kit", "make", env=BARE)
    site.korrigo("copy", env=BARE)
    rows, media, sites = site.rows(), site.tree(), list((there / site.database).iterdir())
    burn(site)
    new = Sandbox(new_server, site.database, site.home)
    new.superuser = superuser

    bring = documented(tool).replace("korrigo-backups/database", f"{s3.bucket}/{site.database}")
    bring = bring.replace("backup@backup-server:/backups/korrigo", f"root@127.0.0.1:{ssh.data}/{site.database}")
    operator.run(bring, operator.holder)
    (sealed,) = operator.holder.rglob("recovery_kit_*.tar.age")
    kit = operator.holder / "kit"
    operator.run(f"korrigo-backup kit open {sealed} --identity korrigo-kit.txt --to kit", operator.holder)
    text = (kit / "README.md").read_text()
    assert ("[kit,s3]" in section(text, "korrigo-backup")) == (tool != "rsync")
    operator.run(section(text, "The files of this kit"), kit)
    dotenv = site.home / ".env"
    for name in ("POSTGRES_HOST", "POSTGRES_PASSWORD"):  # PostgreSQL is at another address now
        dotenv.write_text(re.sub(f"{name}=.*", f"{name}={shlex.quote(new.env[name])}", dotenv.read_text()))
    operator.run(section(text, "The backups").replace("KEY ", f"{operator.holder}/korrigo-kit.txt "), kit)
    (made,) = (line for line in section(text, "The site, empty").splitlines() if line.startswith("mkdir"))
    operator.run(made, site.home)
    restoring = [
        line for line in section(text, "Its data").splitlines() if re.search("-backup (rebuild|restore)", line)
    ]
    said = operator.run("\n".join(line.partition("#")[0] + " --yes" for line in restoring), site.home)
    assert "✅ Restore completed successfully" in said
    assert (new.rows(), new.tree()) == (rows, media)
    new.korrigo("verify", "all", env=BARE)
    new.korrigo("backup", "full", env=BARE)
    copied = new.korrigo("copy", env=BARE).out
    assert re.search(r"3 copied \(.*\), 4 there already", copied)  # what was fetched is known to be there
    assert list((there / site.database).iterdir()) == sites, "the copies go on in the same place"
