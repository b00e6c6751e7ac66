"""The reference stack on a real Docker engine, laid out as an operator has it, and a visitor who uses its site."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.cookiejar import CookieJar
from pathlib import Path

PROJECT = Path(__file__).parents[2]
IMAGES = {
    "KORRIGO_DB_IMAGE": "korrigo-test/db:15",
    "KORRIGO_REDIS_IMAGE": "korrigo-test/redis:latest",
    "KORRIGO_NGINX_IMAGE": "korrigo-test/nginx:latest",
    "KORRIGO_BACKEND_IMAGE": "korrigo-test/backend:latest",
    "KORRIGO_SIDECAR_IMAGE": "korrigo-test/backup:latest",
}
FILES = {kind: f"infra/docker/docker-compose.{kind}.yml" for kind in ("prod", "test", "dev")}
SERVICES = ("db", "redis", "backend", "celery", "celery-beat", "nginx")
PREFIX = "korrigo-t"
PASSED_ON = ("PATH", "HOME", "LANG", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR")
UP_LIMIT, CALL_LIMIT, STATES_LIMIT = 240, 120, 60  # seconds


class ComposeFailed(AssertionError):
    """A command of Compose that a test relies on did not do its work."""


@dataclass(frozen=True)
class Stack:
    """One project of Compose. Commands are typed in `root`, where `.env` holds all that they need."""

    root: Path
    name: str
    kind: str = "prod"
    ports: dict[str, int] = field(default_factory=dict)
    password: str = field(repr=False, default="s3cr3t-stack-pa55")

    @property
    def project(self):
        """The name of the project, which stands in the compose file."""
        return self.name if self.kind == "prod" else f"{self.name}-{self.kind}"

    @property
    def files(self):
        """The compose files, relative to `root`, as typed."""
        return (FILES[self.kind],)

    def sibling(self, kind):
        """Return the stack of the drill ("test") or of development ("dev") in the same directory; not up yet."""
        return replace(self, kind=kind)

    @property
    def env(self):
        """The environment of an operator's shell: none of the site's variables, these come from `.env`."""
        return {name: os.environ[name] for name in PASSED_ON if name in os.environ}

    @property
    def argv(self):
        """The words with which every command of Compose begins."""
        return ["docker", "compose", *(word for file in self.files for word in ("-f", file))]

    @property
    def url(self):
        """The site through nginx."""
        return f"http://127.0.0.1:{self.ports[_variable(self.kind, 'HTTP')]}"

    @property
    def health_url(self):
        """The backend's own health endpoint, port 8000 in production."""
        return f"http://localhost:{self.ports[_variable(self.kind, 'BACKEND')]}/api/health/"

    def lay_out(self):
        """Write the operator's directory: compose files under names of our own, scripts, `.env`; return this stack."""
        shutil.copytree(PROJECT / "infra" / "docker", self.root / "infra" / "docker", symlinks=True)
        shutil.copytree(PROJECT / "scripts", self.root / "scripts")
        for file in FILES.values():
            text = (self.root / file).read_text()
            (self.root / file).write_text(text.replace("\nname: korrigo", f"\nname: {self.name}", 1))
        self.ports.update((_variable(kind, part), free_port()) for kind in FILES for part in ("HTTP", "BACKEND"))
        settings = {
            "POSTGRES_DB": "viatique",
            "POSTGRES_USER": "viatique_user",
            "POSTGRES_PASSWORD": self.password,
            "DJANGO_SECRET_KEY": "only-for-this-test-of-the-stack",
            "BACKUP_DIR": "backups",
            "KORRIGO_HEALTH_INTERVAL": "1s",
            "KORRIGO_DEV_DB_PORT": free_port(),
            **self.ports,
            **IMAGES,
        }
        env_file = self.root / ".env"
        env_file.touch(mode=0o600)
        env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return self

    def compose(self, *arguments, given=None, check=True, limit=CALL_LIMIT):
        """Run one command of Compose, with `given` on its standard input, and return what it printed, as text."""
        return self.run(*self.argv, *arguments, given=given, check=check, limit=limit)

    def run(self, *argv, given=None, check=True, limit=CALL_LIMIT):
        """Run a command as the operator would, in the stack's directory."""
        done = subprocess.run(
            argv,
            cwd=self.root,
            env=self.env,
            **({"stdin": subprocess.DEVNULL} if given is None else {"input": given}),
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
        )
        if check and done.returncode:
            raise ComposeFailed(f"{argv} ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done

    def exec(self, service, *argv, user=None, given=None, check=True):
        """Run a command in the running container of a service (as root in the backend, as `exec` does)."""
        as_user = () if user is None else ("--user", user)
        return self.compose("exec", "-T", *as_user, service, *argv, given=given, check=check)

    def manage(self, *arguments, given=None, check=True):
        """Run manage.py in the backend, as the user whom the site runs as."""
        return self.exec("backend", "python", "manage.py", *arguments, user="app", given=given, check=check)

    def sql(self, query, database="viatique"):
        """Ask the database and return the rows as psql prints them, columns with `|`."""
        psql = ("psql", "-X", "-U", "viatique_user", "-d", database, "-v", "ON_ERROR_STOP=1", "-Atc", query)
        return self.exec("db", *psql).stdout.strip()

    def states(self):
        """Return service -> "running/healthy", "exited/" …, of every container, stopped ones too.

        A restore runs the containers' own checks; the engine's next one may be half a minute away, and is waited for.
        """
        deadline = time.monotonic() + STATES_LIMIT
        while True:
            lines = self.compose("ps", "--all", "--format", "json").stdout.splitlines()
            found = {output["Service"]: f"{output['State']}/{output['Health']}" for output in map(json.loads, lines)}
            if "running/starting" not in found.values() or time.monotonic() > deadline:
                return found
            time.sleep(1)

    def up(self, *services):
        """Start what does not run, of all or of these and what they depend on, and wait until it is healthy."""
        up = self.compose("up", "--detach", "--wait", "--no-build", *services, check=False, limit=UP_LIMIT)
        if up.returncode:
            logs = self.compose("logs", "--no-color", "--tail", "30", check=False).stdout
            raise ComposeFailed(f"the stack does not come up\n{up.stderr[-2000:]}\n{self.states()}\n{logs[-6000:]}")

    def healthy(self):
        """Say whether every service runs and is healthy."""
        return self.states() == dict.fromkeys(SERVICES, "running/healthy")

    def down(self):
        """Remove all of it and of its siblings, the volumes too; fail when anything is left."""
        for project in {self.sibling(kind).project for kind in FILES}:
            remove(project)
            assert belongings(project) == set()

    def visitor(self):
        """Return someone logged in to the site as its administrator."""
        return Visitor(self.url).log_in("admin", "korrigo-demo")


class Visitor:
    """A browser, as far as the admin needs one."""

    def __init__(self, url):
        self.url = url
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path):
        """Return the body of a page; an answer that is no success raises HTTPError."""
        with self.opener.open(urllib.parse.urljoin(self.url, path), timeout=30) as answer:
            return answer.read()

    def post(self, path, fields, files=()):
        """Send the form of a page, its own token included, and return the address and body that follow."""
        token = re.findall(rb'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(path))[0].decode()
        body, kind = multipart({"csrfmiddlewaretoken": token, **fields}, files)
        request = urllib.request.Request(urllib.parse.urljoin(self.url, path), body, {"Content-Type": kind})  # noqa: S310
        with self.opener.open(request, timeout=60) as answer:
            return answer.geturl(), answer.read()

    def log_in(self, name, password):
        """Log in to the admin; AssertionError when it does not let us in."""
        address, _ = self.post("/admin/login/?next=/admin/", {"username": name, "password": password})
        assert urllib.parse.urlsplit(address).path == "/admin/"
        return self

    def upload_copy(self, exam, name, content):
        """Add a copy with its PDF to an exam, in the admin, and return its path below /media/."""
        fields = {"exam": exam, "anonymous_id": name, "status": "staging", "_continue": "1"}
        address, page = self.post("/admin/exams/copy/add/", fields, [("pdf", f"{name}.pdf", content)])
        assert "/change/" in address, re.findall(r"errorlist[^>]*>(.*?)</ul>", page.decode())
        return re.findall(rb'href="(/media/[^"]+)"', page)[0].decode()


def multipart(fields, files):
    """Return the body and content type of a form with files, each (field, file name, content)."""
    mark = uuid.uuid4().hex
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()
    ]
    for field_name, name, content in files:
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{field_name}"; filename="{name}"\r\n'
        parts.append(f"{head}Content-Type: application/pdf\r\n\r\n".encode() + content + b"\r\n")
    return b"".join([*parts, f"--{mark}--\r\n".encode()]), f"multipart/form-data; boundary={mark}"


def _variable(kind, part):
    """Return the variable of `.env` that sets a port of nginx ("HTTP") or of the backend."""
    return f"KORRIGO_{part}_PORT" if kind == "prod" else f"KORRIGO_{kind.upper()}_{part}_PORT"


def free_port():
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def docker(*arguments, limit=CALL_LIMIT):
    """Run docker and return its lines."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=limit)
    return done.stdout.split()


def belongings(project):
    """Return what the engine holds of a project: "container …", "volume …", "network …"."""
    label = ("--filter", f"label=com.docker.compose.project={project}")
    return {
        *(f"container {name}" for name in docker("ps", "--all", "--quiet", *label)),
        *(f"volume {name}" for name in docker("volume", "ls", "--quiet", *label)),
        *(f"network {name}" for name in docker("network", "ls", "--quiet", *label)),
    }


def remove(project):
    """Remove a project's containers, volumes and networks, whatever files it was made from."""
    for kind in ("container", "network", "volume"):
        names = [name for thing, name in map(str.split, belongings(project)) if thing == kind]
        if names:
            docker(kind, "rm", *(() if kind == "network" else ("--force",)), *names)


def remove_left_by_the_dead():
    """Remove the projects of test runs that were killed: their process is no more."""
    form = '{{.Label "com.docker.compose.project"}}'
    names = {*docker("ps", "--all", "--format", form), *docker("volume", "ls", "--format", form)}
    for name in names:
        if (found := re.fullmatch(rf"{PREFIX}-(\d+)-\d+(-test|-dev)?", name)) and not Path(
            "/proc", found.group(1)
        ).exists():
            remove(name)


def eventually(question, limit=30, pause=0.3):
    """Ask until the answer is true, and return it; fail once `limit` seconds are over."""
    end = time.monotonic() + limit
    while True:
        with suppress(OSError):
            if answer := question():
                return answer
        assert time.monotonic() < end, f"not within {limit} s"
        time.sleep(pause)
