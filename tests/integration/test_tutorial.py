"""The tutorial, each command of it, on a new Django project and a real PostgreSQL."""

import os
import re
import stat
import sys
import sysconfig
from pathlib import Path

import pytest
from docsite.pictures import GAP, shown, svg

from docs.console import commands, matches, run
from docs.test_documents import PROJECT, text
from sandbox import connect, database_names, drop_database

PICTURES = os.environ.get("KORRIGO_PICTURES")
"""A directory that gets the picture of this run."""
PAGE = PROJECT / "docs" / "tutorial" / "first-restore.md"
IN_FRENCH = PROJECT / "docs" / "fr" / "tutorial" / "first-restore.md"
SUDO = """#!/bin/sh
# sudo -u postgres COMMAND, as the superuser of the test's server
shift 2
PGHOST={host} PGPORT={port} PGUSER={user} PGPASSWORD={password} exec "$@"
"""


@pytest.fixture
def newcomer(server, tmp_path):
    """A machine with PostgreSQL, Python and a clone of the project, without a virtual environment in use."""
    tools = tmp_path / "tools"
    tools.mkdir()
    access = server.access()
    words = {"host": access.host, "port": access.port, "user": access.user, "password": access.password.reveal()}
    (tools / "sudo").write_text(SUDO.format(**words))
    (tools / "sudo").chmod(stat.S_IRWXU)
    (tmp_path / "korrigo-backup").symlink_to(PROJECT)
    ours = Path(sys.executable).parent
    before = database_names(server)
    yield {
        "PATH": ":".join(
            map(str, (tools, access.client_dir, Path(sys.executable).resolve().parent, "/usr/bin", "/bin", ours))
        ),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PGPORT": str(access.port),
        # pip finds the libraries of the development environment, and builds without a network
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    for database in database_names(server) - before:
        drop_database(server, database)
    with connect(server) as connection:
        connection.execute("DROP ROLE IF EXISTS school")


def draw(typed, outputs):
    """The picture of a loss and a restore: the commands from the drill to the first look at the restored rows."""
    commands_typed = [one.command for one in typed]
    start = next(at for at, command in enumerate(commands_typed) if command.startswith("korrigo-backup drill"))
    end = next(at for at, command in enumerate(commands_typed) if "print(Copy" in command)
    rows = []
    for one, printed in zip(typed[start : end + 1], outputs[start : end + 1], strict=True):
        answered = printed.replace("(yes/no): ", "(yes/no): yes\n")
        lines = [line for line in shown(one.printed, answered) if line != GAP or len(one.printed) > 1]
        rows.append((one.command, lines))
    return svg("a loss, and a restore", rows)


def as_shown(page, server, cwd, env):
    """Type the commands of a page, and return them with their outputs; AssertionError if one is not as the page has it."""
    typed = commands(text(page).replace("POSTGRES_HOST=localhost", f"POSTGRES_HOST={server.access().host}"))
    assert len(typed) > 20
    outputs = run(typed, cwd=cwd, env=env)
    for one, printed in zip(typed, outputs, strict=True):
        assert not one.printed or matches(one.printed, printed), f"$ {one.command}\n{printed}"
    return typed, outputs


def test_the_tutorial_in_french_shows_what_a_french_reader_sees(server, newcomer, tmp_path):
    typed, _ = as_shown(IN_FRENCH, server, tmp_path, newcomer | {"LANG": "fr_FR.UTF-8"})
    assert [one.command for one in typed] == [
        one.command.replace("localhost", str(server.access().host)) for one in commands(text(PAGE))
    ]


def test_every_command_of_the_tutorial_does_what_the_page_shows(server, newcomer, tmp_path):
    typed, outputs = as_shown(PAGE, server, tmp_path, newcomer)
    written = draw(typed, outputs)
    assert re.findall(r"https?://(?!www\.w3\.org/)", written) == []
    assert "3&#160;copies" in written
    if PICTURES:
        (Path(PICTURES) / "restore.svg").write_text(written, encoding="utf-8")
