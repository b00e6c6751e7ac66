"""The runbook, played on a site of Korrigo's shape: `make demo-korrigo` shows every line of it.

A witness that shares no code with the product reads every row and every file before and after each act. The containers
are as small and closed as they can be: busybox, no root, read-only, little memory, an impatient server.
"""

import re
import shutil
import subprocess
import sys

import pytest
from pyrage import x25519

from compose.korrigoshape import TAG, made_shape
from compose.test_product import BIN, korrigo
from targetservers import s3_server

_SH = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@pytest.fixture
def shape(engine, tmp_path):
    place = tmp_path / "srv"
    place.mkdir()
    with made_shape(place, 9004, copies=30, lean=True) as made:
        yield made


@pytest.fixture
def s3(tmp_path):
    with s3_server(tmp_path / "s3 server") as server:
        yield server


def show(text):
    """Show a line to who plays this as a demonstration; pytest keeps it for a failure otherwise."""
    sys.stdout.write(f"{text}\n")


def act(title):
    show(f"\n=== {title}")


def typed(shape, *arguments, code=0):
    show(f"$ korrigo-backup {' '.join(map(str, arguments))}")
    output = korrigo(shape, *map(str, arguments), code=code)
    show(output)
    return output


def destroy(shape):
    """What a bad migration and a wrong rm do together."""
    shape.sql("DROP TABLE exams_annotation CASCADE; UPDATE exams_exam SET name = 'lost'; DELETE FROM core_page")
    shape.exec("backend", "sh", "-c", "rm -r /app/media/booklets")


@pytest.mark.contract("S1")
@pytest.mark.contract("S2")
@pytest.mark.contract("S4")
@pytest.mark.contract("S5")
@pytest.mark.contract("R7")
@pytest.mark.contract("C5")
@pytest.mark.contract("B9")
@pytest.mark.promise("P1")
@pytest.mark.promise("P2")
def test_the_runbook_is_played_on_korrigos_shape(shape, s3, tmp_path):
    assert "busybox" in shape.exec("db", "readlink", "/bin/sh").stdout
    assert shape.exec("backend", "id", "-u").stdout.strip() == "1000"
    act("init, by itself")
    output = typed(shape, "init")
    assert "answers: a restore waits for it" in output
    for column in ("exams_booklet.pages_images", "core_page.image_path"):
        assert f"{column} names media files" in output
    assert "❌" not in typed(shape, "doctor")
    _name_a_recipient(shape, tmp_path)
    _name_a_target(shape, s3)

    act("backup, by both methods")
    saved = shape.testify()
    typed(shape, "backup", "full")
    typed(shape, "backup", "full", "--method", "django")
    assert "❌" not in typed(shape, "verify", "all")
    assert "❌" not in typed(shape, "validate")
    assert shape.testify() == saved

    act("disaster, restore of the point, rollback")
    destroy(shape)
    destroyed = shape.testify()
    assert destroyed != saved
    output = typed(shape, "restore", "latest-point", "--yes")
    assert "❌" not in output
    assert shape.testify() == saved
    typed(shape, "rollback", "--yes")
    assert shape.testify() == destroyed

    act("a wrong UPDATE and lost pages, restore by the Django method")
    typed(shape, "restore", "latest-point", "--yes")
    shape.sql("DELETE FROM exams_annotation; UPDATE exams_exam SET name = 'lost'")
    shape.exec("backend", "sh", "-c", "rm -r /app/media/booklets")
    output = typed(shape, "restore", _newest(shape, "korrigo_backup_*"), "--yes")
    assert "❌" not in output
    assert _carried(shape.testify()) == _carried(saved)
    typed(shape, "restore", "latest-point", "--yes")
    assert shape.testify() == saved

    act("docker compose down -v, and a bare directory: the sealed copies and the private key are all that is left")
    typed(shape, "kit", "make")
    typed(shape, "copy")
    (copies,) = (s3.data / "shape").iterdir()
    shape.compose("down", "-v")
    shape.run("docker", "network", "rm", f"{shape.name}-other")
    shutil.rmtree(shape.root)
    shutil.rmtree(shape.www)
    shape.root.mkdir()
    _follow_the_kit(shape, copies, tmp_path)
    assert shape.healthy(), shape.states()
    assert shape.testify() == saved
    assert "❌" not in typed(shape, "validate")


def _newest(shape, pattern):
    return max(path.name for path in (shape.root / "backups").glob(pattern) if not path.name.endswith(".json"))


def _carried(testimony):
    """What Method 2 carries: neither migrations nor sessions, as the runbook's command."""
    rows, files = testimony
    return [row for row in rows if not row.startswith(("django_migrations ", "django_session "))], files


def _name_a_recipient(shape, tmp_path):
    identity = x25519.Identity.generate()
    (tmp_path / "identity.txt").write_text(f"{identity}\n")
    toml = shape.root / "korrigo-backup.toml"
    toml.write_text(toml.read_text().replace("[kit]", f'[kit]\nrecipients = ["{identity.to_public()}"]', 1))


def _name_a_target(shape, s3):
    with (shape.root / "korrigo-backup.toml").open("a") as toml:
        toml.write(f'\n[targets.cloud]\nurl = "s3://{s3.bucket}/shape"\nendpoint = "{s3.endpoint}"\n')
    own = shape.root / "korrigo-backup.env"
    own.write_text("".join(f"{name}={value}\n" for name, value in s3.env.items()))
    own.chmod(0o600)


def _follow_the_kit(shape, copies, tmp_path):
    """Type the commands of the kit's README, but for those that install, log in to a registry or change this machine."""
    kit = next(copies.glob("recovery_kit_*.age"))
    typed(shape, "kit", "open", kit, "--identity", tmp_path / "identity.txt", "--to", tmp_path / "kit")
    text = (tmp_path / "kit" / "README.md").read_text()
    assert "docker login registry.invalid" in text
    assert f"export SHAPE_SHA={TAG}" in text
    machine, code, placed, command, backups, needs, filled, served = _SH.findall(text)
    assert "docker.com" in machine
    assert "pip install" in command
    script = "\n".join(
        (
            "set -eu",
            code,
            f"cd {tmp_path}/kit",
            placed,
            f"export PATH={BIN}:$PATH",
            backups.replace("KEY ", f"{tmp_path}/identity.txt "),
            needs.replace("docker login", "echo the registry is"),
            filled.replace("korrigo-backup restore latest-media ", "true ").replace("rebuild ", "rebuild --yes "),
            served.replace("korrigo-backup schedule install ", "true "),
        )
    )
    show(script)
    done = subprocess.run(
        ["sh", "-c", script], env=shape.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=600,
    )  # fmt: skip
    show(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "❌" not in done.stdout
