"""A server that takes connections by TLS alone."""

import os
import shutil
import socket
from pathlib import Path

import psycopg
import pytest

from korrigo_backup.postgres import throwaway
from korrigo_backup.postgres.throwaway import ThrowawayServer
from sandbox import USER, USER_PASSWORD, Sandbox
from servers import bindir

TLS = Path(__file__).parents[2] / "tls"
HBA = "hostssl all all 127.0.0.1/32 scram-sha-256\nhostssl all all ::1/128 scram-sha-256\nlocal all all trust\n"


class TlsServer(ThrowawayServer):
    """A server on `localhost` whose certificate is signed by itself."""

    port: int

    def _create(self):
        super()._create()
        owner = self._data.stat()
        for name in ("localhost.pem", "localhost.key"):
            copied = self._data / name
            shutil.copy(TLS / name, copied)
            copied.chmod(0o600)
            os.chown(copied, owner.st_uid, owner.st_gid)
        (self._data / "pg_hba.conf").write_text(HBA)
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write("ssl = on\nssl_cert_file = 'localhost.pem'\nssl_key_file = 'localhost.key'\n")

    @property
    def socket(self):
        return str(self._sockets)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def tls_server():
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            throwaway, "_SETTINGS", {**throwaway._SETTINGS, "listen_addresses": "localhost", "port": str(port)}
        )
        try:
            server = TlsServer(bindir())
            server.__enter__()
        except Exception as reason:
            if "SSL is not supported" in str(reason):
                pytest.skip("this PostgreSQL is built without TLS")
            raise
    server.port = port
    yield server
    server.__exit__(None, None, None)


@pytest.fixture
def tls_site(tls_server, tmp_path):
    with psycopg.connect(host=tls_server.socket, port=tls_server.port, user="postgres", dbname="postgres") as admin:
        admin.autocommit = True
        admin.execute("DROP DATABASE IF EXISTS shop")
        admin.execute(f"DROP ROLE IF EXISTS {USER}")
        admin.execute(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{USER_PASSWORD}'")
        admin.execute(f"CREATE DATABASE shop OWNER {USER}")
    site = Sandbox(tls_server, "shop", tmp_path / "site")
    site.home.mkdir(parents=True)
    return site


def secured(site, **more):
    return {"POSTGRES_HOST": "localhost", "POSTGRES_PORT": str(site.server.port), **more}


def test_a_server_that_is_known_by_its_certificate_is_backed_up(tls_site):
    env = secured(tls_site, PGSSLMODE="verify-full", PGSSLROOTCERT=str(TLS / "localhost.pem"))
    tls_site.korrigo("backup", "db", env=env)
    tls_site.korrigo("verify", "latest", "--depth", "full", env=env)


def test_a_connection_in_clear_text_is_not_made_and_the_hint_names_the_setting(tls_site):
    done = tls_site.korrigo("backup", "db", env=secured(tls_site, PGSSLMODE="disable"), code=8)
    assert "sslmode" in done.err


def test_a_server_with_another_certificate_is_not_trusted(tls_site):
    wrong = tls_site.home / "other.pem"
    wrong.write_text((TLS / "localhost.pem").read_text().replace("\nMII", "\nMIJ", 1))
    env = secured(tls_site, PGSSLMODE="verify-full", PGSSLROOTCERT=str(wrong))
    refused = tls_site.korrigo("backup", "db", env=env, code=8)
    assert "sslrootcert" in refused.err
    assert "database postgres" not in refused.err
