"""Services of a machine that run the code of a site."""

import os
from pathlib import Path

import pytest

from korrigo_backup.setup.server_units import _names, stop_and_start

UNIT = """
[Service]
WorkingDirectory={directory}
ExecStart=/usr/bin/python3 -m gunicorn shop.wsgi
"""


@pytest.fixture
def machine(tmp_path):
    for name in ("units", "programs", "site"):
        (tmp_path / name).mkdir()
    return tmp_path


def found(machine):
    return stop_and_start(machine / "site", machine / "units", machine / "programs")


def commands(*words):
    return [*([] if os.geteuid() == 0 else ["sudo", "-n"]), *words]


def test_units_whose_code_is_in_the_directory_are_stopped_and_started_together(machine):
    site = machine / "site"
    (machine / "units" / "shop.service").write_text(UNIT.format(directory=site / "backend"))
    (machine / "units" / "worker.service").write_text(f"[Service]\nExecStart={site}/.venv/bin/celery -A shop worker\n")
    (machine / "units" / "other.service").write_text(UNIT.format(directory=f"{site}-other"))
    (machine / "units" / "template@.service").write_text(UNIT.format(directory=site))
    (machine / "units" / "korrigo-backup-shop.service").write_text(UNIT.format(directory=site))
    names = ("shop.service", "worker.service")
    assert found(machine) == (commands("systemctl", "stop", *names), commands("systemctl", "start", *names))


def test_programs_of_supervisor_are_taken_where_no_unit_is(machine):
    text = f"[program:shop]\ndirectory={machine / 'site'}\ncommand=gunicorn %(host_node_name)s\n[group:all]\nprograms=shop\n"
    (machine / "programs" / "shop.conf").write_text(text)
    (machine / "programs" / "broken.conf").write_text("no section\n")
    assert found(machine) == (commands("supervisorctl", "stop", "shop"), commands("supervisorctl", "start", "shop"))


def test_a_machine_without_such_services_has_no_commands(machine):
    (machine / "units" / "binary.service").write_bytes(b"\xff\x00")
    assert found(machine) is None
    assert stop_and_start(machine / "site", machine / "none", machine / "none") is None


@pytest.mark.parametrize(
    ("directory", "value", "is_named"),
    [
        ("/srv/shop", "WorkingDirectory=/srv/shop/backend", True),
        ("/home/ann", "WorkingDirectory=/home/ann", True),
        ("/home/ann", "ExecStart=/usr/bin/python3 /home/ann/manage.py run", True),
        ("/home/ann", "WorkingDirectory=/home/ann/other-site", False),
        ("/home/ann", "ExecStart=/home/ann/other/manage.py", False),
        ("/srv", "WorkingDirectory=/srv/shop", False),
        ("/home/ann/shop", "ExecStart=/home/ann/shop/.venv/bin/gunicorn", True),
    ],
)
def test_a_service_below_a_home_directory_is_not_one_of_the_site_in_it(directory, value, is_named):
    assert _names(Path(directory), value.partition("=")[2]) is is_named
