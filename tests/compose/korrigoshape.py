"""A site of Korrigo's shape on a real engine, and a witness who reads all of its rows and files without our code."""

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from compose.dockerstack import IMAGES, PREFIX, PROJECT, Stack, docker, free_port

SHAPE = PROJECT / "tests" / "compose" / "korrigo_shape"
TAG = "3f9c2d1"
"""The tag of the images: the deployment sets it, and no file has it."""

WITHOUT_APP = "without-app"
"""The tag of the images that lack korrigo-backup."""

LEAN = {"KORRIGO_DB_IMAGE": "korrigo-test/db-lean:15", "KORRIGO_BACKEND_IMAGE": "korrigo-test/backend-lean:latest"}

_EVERY_ROW = """
DO $$ DECLARE t record; d text; n bigint; BEGIN
FOR t IN SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace LOOP
  EXECUTE format('SELECT count(*), coalesce(md5(string_agg(r::text, E''\\n'' ORDER BY r::text)), '''') FROM %s r', t.name) INTO n, d;
  RAISE NOTICE '% % %', t.name, n, d;
END LOOP; END $$"""
_EVERY_FILE = (
    "cd /app/media && find . \\( -name '.before-*' -o -name '.stage-*' -o -name '.after-*' \\) -prune -o -type f -print0"
    " | sort -z | xargs -0 sha256sum"
)


@dataclass(frozen=True)
class Shape(Stack):
    """The project's name is that of the directory of its compose file. `www` holds the files mounted over the code."""

    port: int = field(default_factory=free_port)
    lean: bool = False
    """Whether its containers are as small and closed as they can be, with busybox in them."""

    @property
    def files(self):
        place = f"infra/{self.name}"
        return (f"{place}/docker-compose.prod.yml", *((f"{place}/lean.yml",) if self.lean else ()))

    @property
    def argv(self):
        return ["docker", "compose", "--env-file", ".env", *(word for file in self.files for word in ("-f", file))]

    @property
    def env(self):
        return super().env | {"HOME": str(self.root)}  # one signing key for all tests of this module

    @property
    def health_url(self):
        return f"http://localhost:{self.port}/api/health/"

    @property
    def www(self):
        return self.root.with_name(f"{self.root.name}-www")

    @property
    def image(self):
        return f"registry.invalid/{self.name}/backend"

    def lay_out(self):
        self.write_code()
        shutil.copytree(SHAPE / "overlay", self.www / "overlay")
        shutil.copytree(SHAPE / "seed", self.www / "seed")
        settings = {
            "POSTGRES_DB": "viatique",
            "POSTGRES_USER": "viatique_user",
            "POSTGRES_PASSWORD": self.password,
            "SECRET_KEY": "only-for-this-test-of-the-shape",
            "SHAPE_REGISTRY": self.image.rpartition("/")[0],
            "SHAPE_DB_IMAGE": LEAN["KORRIGO_DB_IMAGE"] if self.lean else IMAGES["KORRIGO_DB_IMAGE"],
            "SHAPE_REDIS_IMAGE": IMAGES["KORRIGO_REDIS_IMAGE"],
            "SHAPE_NGINX_IMAGE": IMAGES["KORRIGO_NGINX_IMAGE"],
            "SHAPE_HTTP_PORT": self.port,
            "SHAPE_NETWORK": f"{self.name}-other",
            "SHAPE_OVERLAY": self.www / "overlay",
            "SHAPE_SEED": self.www / "seed",
            "SHAPE_APP": "first",
            "COMPOSE_FILE": ":".join(self.files),
        }
        (self.root / ".env").touch(mode=0o600)
        (self.root / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return self

    def write_code(self):
        """Write what the site's repository holds."""
        place = self.root / "infra" / self.name
        place.mkdir(parents=True)
        for file in self.files:
            shutil.copy(SHAPE / Path(file).name, place)
        shutil.copy(PROJECT / "infra" / "docker" / "nginx" / "site.conf", place)

    def configured(self):
        """Write a configuration by hand, as small as it may be."""
        (self.root / "korrigo-backup.toml").write_text(f'[compose]\nfiles = ["{self.files[0]}"]\nenv_file = ".env"\n')
        return self

    def deploy(self, *services, tag=TAG):
        """Start it as its deployment does: the tag of the images is in the environment alone."""
        up = subprocess.run(
            [*self.argv, "up", "--detach", "--wait", *services],
            cwd=self.root, env=self.env | {"SHAPE_SHA": tag}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip
        assert up.returncode == 0, up.stderr[-3000:]

    def up(self, *services):
        self.deploy(*services)

    def delay(self, seconds):
        """Let the backend take as long at its next start."""
        (self.www / "overlay" / "delay").write_text(f"{seconds}\n")

    def healthy(self):
        return set(self.states().values()) == {"running/healthy"}

    def testify(self):
        """Return a line for every table and for every file of the media, read without our code."""
        psql = ("psql", "-X", "-q", "-U", "viatique_user", "-d", "viatique", "-v", "ON_ERROR_STOP=1")
        notices = self.exec("db", *psql, given=_EVERY_ROW).stderr
        rows = sorted(line.partition("NOTICE:")[2].strip() for line in notices.splitlines() if "NOTICE:" in line)
        return rows, self.exec("nginx", "sh", "-c", _EVERY_FILE).stdout.splitlines()


@contextmanager
def made_shape(root, number, *, copies=12, lean=False):
    """Yield a shape that is up and filled; remove all of it at the end."""
    name = f"{PREFIX}-{os.getpid()}-{number}"
    made = Shape(root, name, lean=lean).lay_out()
    docker("tag", (LEAN if lean else IMAGES)["KORRIGO_BACKEND_IMAGE"], f"{made.image}:{TAG}")
    without = f"FROM {IMAGES['KORRIGO_BACKEND_IMAGE']}\nRUN pip uninstall --quiet --yes korrigo-backup msgspec\n"
    subprocess.run(
        ["docker", "build", "--quiet", "-t", f"{made.image}:{WITHOUT_APP}", "-"],
        input=without, text=True, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    docker("network", "create", f"{name}-other")
    try:
        made.deploy()
        made.manage("seed", "--copies", str(copies), "--pages", "2", "--annotations-per-copy", "20")
        made.manage("fill")
        yield made
    finally:
        made.down()
        with suppress(AssertionError):
            docker("network", "rm", f"{name}-other")
        for tag in (TAG, WITHOUT_APP):
            docker("rmi", f"{made.image}:{tag}")
