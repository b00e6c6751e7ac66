"""Each variable of libpq is obeyed, has no effect, or is refused by name."""

import os
import shutil
import subprocess

import pytest

from korrigo_backup.app.build import wire
from korrigo_backup.config import libpq
from korrigo_backup.config.site import DatabaseSection
from korrigo_backup.core.variables import VARIABLES
from korrigo_backup.errors import UsageError
from korrigo_backup.postgres.session_settings import options

DATABASE = DatabaseSection(host="db.example", port=5433, name="shop", user="app")

LIBPQ = [
    "PGHOST",
    "PGSSLNEGOTIATION",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGREQUIREAUTH",
    "PGCHANNELBINDING",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGOPTIONS",
    "PGAPPNAME",
    "PGSSLMODE",
    "PGREQUIRESSL",
    "PGSSLCOMPRESSION",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCERTMODE",
    "PGSSLROOTCERT",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLSNI",
    "PGREQUIREPEER",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMAXPROTOCOLVERSION",
    "PGGSSENCMODE",
    "PGKRBSRVNAME",
    "PGGSSLIB",
    "PGGSSDELEGATION",
    "PGCONNECT_TIMEOUT",
    "PGCLIENTENCODING",
    "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS",
    "PGMINPROTOCOLVERSION",
    "PGMAXPROTOCOLVERSION",
    "PGDATESTYLE",
    "PGTZ",
    "PGGEQO",
    "PGSYSCONFDIR",
    "PGLOCALEDIR",
]
"""Environment variables in the documentation of libpq 18."""


def direct(tmp_path, **environ):
    given = {"HOME": str(tmp_path), "POSTGRES_HOST": "db.example", "PATH": os.environ["PATH"], **environ}
    return wire(tmp_path, given, None).site().postgres.access


@pytest.mark.parametrize("name", LIBPQ)
def test_a_variable_of_libpq_has_one_fate(name):
    fates = (libpq.PASSED, libpq.NO_EFFECT, libpq.SAME, libpq.REFUSED, VARIABLES, {"PGPASSWORD"})
    assert sum(name in fate for fate in fates) == 1


@pytest.mark.parametrize("name", sorted(libpq.REFUSED))
def test_a_variable_that_would_not_be_obeyed_is_refused_by_name(name):
    with pytest.raises(UsageError, match=f"{name} is set"):
        libpq.security(DATABASE, {name: "x"})
    assert libpq.security(DATABASE, {name: ""}) == {}


@pytest.mark.parametrize(
    ("name", "same"), [("PGHOST", "db.example"), ("PGPORT", "5433"), ("PGDATABASE", "shop"), ("PGUSER", "app")]
)
def test_a_libpq_variable_must_equal_the_configuration(name, same):
    assert libpq.security(DATABASE, {name: same}) == {}
    with pytest.raises(UsageError, match=f"{name} is 'other'"):
        libpq.security(DATABASE, {name: "other"})


@pytest.mark.parametrize("name", libpq.PASSED)
def test_how_a_connection_is_secured_is_passed_on(tmp_path, name):
    command = direct(tmp_path, **{name: "x"}).postgres("psql", database="shop")
    assert command.env[name] == "x"


def test_the_keys_of_the_configuration_are_passed_on(tmp_path):
    (tmp_path / "korrigo-backup.toml").write_text(
        '[database]\nsslmode = "verify-full"\nsslrootcert = "ca.pem"\nsslcert = "c"\nsslkey = "k"\npassfile = "p"\n'
    )
    env = direct(tmp_path, PGSSLKEY="other").postgres("pg_dump", database="shop").env
    assert (env["PGSSLMODE"], env["PGSSLROOTCERT"], env["PGSSLCERT"]) == ("verify-full", "ca.pem", "c")
    assert (env["PGSSLKEY"], env["PGPASSFILE"]) == ("other", "p")


def test_variables_of_libpq_are_read_from_the_file_too(tmp_path):
    (tmp_path / ".env").write_text("PGSSLMODE=require\nPGCHANNELBINDING=require\n")
    env = direct(tmp_path).postgres("psql", database="shop").env
    assert (env["PGSSLMODE"], env["PGCHANNELBINDING"]) == ("require", "require")


def test_an_unknown_sslmode_is_refused(tmp_path):
    with pytest.raises(UsageError, match="PGSSLMODE in the environment"):
        direct(tmp_path, PGSSLMODE="strict")


def test_the_password_of_libpq_is_used_and_is_a_secret(tmp_path):
    access = direct(tmp_path, PGPASSWORD="pa55word")
    assert access.postgres("psql", database="shop").env["PGPASSWORD"].reveal() == "pa55word"
    given = {"HOME": str(tmp_path), "POSTGRES_HOST": "db.example", "PGPASSWORD": "pa55word"}
    assert "pa55word" in [secret.reveal() for secret in wire(tmp_path, given, None).secrets]


def test_two_passwords_that_differ_are_refused_without_showing_them(tmp_path):
    with pytest.raises(UsageError, match="PGPASSWORD and POSTGRES_PASSWORD differ") as refused:
        direct(tmp_path, PGPASSWORD="one1", POSTGRES_PASSWORD="two2")
    assert "one1" not in refused.value.message + refused.value.hint


def test_a_setting_with_spaces_is_one_option():
    assert r"-c default_transaction_isolation=read\ committed" in options()


def test_the_programs_of_the_client_keep_their_connections_alive(tmp_path):
    for program in ("psql", "pg_dump"):
        (alive,) = (
            word for word in direct(tmp_path).postgres(program, database="shop").argv if "keepalives_idle" in word
        )
        assert "tcp_user_timeout=" in alive


@pytest.mark.skipif(shutil.which("psql") is None, reason="no psql on PATH")
def test_libpq_takes_the_connection_string(tmp_path):
    command = direct(tmp_path).postgres("psql", database="shop")
    done = subprocess.run([*command.argv, "--version"], capture_output=True, check=False)
    assert done.returncode == 0
