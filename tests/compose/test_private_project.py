"""A private Compose project of the site's images on a real engine: looked at, rehearsed on, killed, and removed."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from compose.dockerstack import IMAGES, docker, eventually
from compose.test_product import korrigo

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the engine's volumes are root's")

BIN = Path(sys.executable).parent
LABEL = "korrigo-backup.place-of"

MIGRATION = """
from django.db import migrations
class Migration(migrations.Migration):
    dependencies = [("exams", "0002_groups")]
    operations = [migrations.RunSQL({sql!r})]
"""


@pytest.fixture
def untouched(stack):
    """The stack with a restore point. The engine must be afterwards as it was before, each container of it as started."""
    korrigo(stack, "backup", "full")
    engine, started = everything(), starts(stack)
    yield stack
    assert everything() == engine
    assert starts(stack) == started


def everything():
    """Return what the engine holds: containers, volumes, networks."""
    return {
        kind: sorted(docker(*words))
        for kind, words in {
            "containers": ("ps", "--all", "--quiet", "--no-trunc"),
            "volumes": ("volume", "ls", "--quiet"),
            "networks": ("network", "ls", "--quiet", "--no-trunc"),
        }.items()
    }


def starts(stack):
    ids = docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={stack.project}")
    return dict(zip(ids, docker("inspect", "--format", "{{.State.StartedAt}}", *ids), strict=True))


def private(stack, kind="ps", *words):
    """Return the ids of the private project's containers, volumes or networks."""
    return docker(*kind.split(), "--quiet", "--filter", f"label={LABEL}={stack.project}", *words)


@contextmanager
def running(stack, *arguments):
    """Run the command in the operator's directory, and yield its process; it is ended if it still runs."""
    env = stack.env | {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [BIN / "korrigo-backup", *arguments],
        cwd=stack.root,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


def inspected(container):
    return json.loads(subprocess.run(["docker", "inspect", container], capture_output=True, check=True).stdout)[0]


@pytest.mark.contract("X1")
def test_a_backup_is_browsed_read_only_as_a_user_of_its_time_and_nothing_stays(untouched):
    stack = untouched
    exams = stack.sql("SELECT count(*) FROM exams_exam")
    with running(stack, "browse", "--as", "admin") as process:
        address = next(found[0] for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\S+", line)))
        base = address.partition("/-/")[0]
        assert_isolated(stack)
        assert_refused(base)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        opener.open(address, timeout=60).close()
        page = opener.open(f"{base}/admin/exams/exam/", timeout=60).read().decode()
        assert f"{exams} exam" in page
        pdf = urllib.parse.quote(stack.sql("SELECT pdf FROM exams_copy ORDER BY pdf LIMIT 1"))
        assert opener.open(f"{base}/media/{pdf}", timeout=60).read(5) == b"%PDF-"
        with pytest.raises(urllib.error.HTTPError, match="405"):
            opener.open(f"{base}/admin/exams/exam/1/delete/", b"post=yes", timeout=60)
        backend = private(stack, "ps", "--filter", "label=com.docker.compose.service=backend")[0]
        change = "from exams.models import Exam; Exam.objects.update(name='lost')"
        words = ["docker", "exec", backend, "python", "manage.py", "shell", "-c", change]
        refused = subprocess.run(words, capture_output=True, text=True, check=False)
        assert "read-only transaction" in refused.stderr
        touched = subprocess.run(["docker", "exec", backend, "touch", "/app/media/x"], capture_output=True, check=False)
        assert b"Read-only file system" in touched.stderr
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(60) == 0, rest
    assert "✅ Removed; the live site was not touched" in rest
    assert stack.sql("SELECT count(*) FROM exams_exam") == exams


def assert_isolated(stack):
    """The private project has no port, no way out, no restart policy, and none of the site's volumes."""
    (network,) = private(stack, "network ls")
    assert json.loads("".join(docker("network", "inspect", "--format", "{{json .Internal}}", network))) is True
    containers = [inspected(one) for one in private(stack, "ps")]
    services = {one["Config"]["Labels"]["com.docker.compose.service"] for one in containers}
    assert services == {"db", "redis", "backend", "nginx"}
    live = set(docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={stack.project}"))
    for one in containers:
        assert not any(one["NetworkSettings"]["Ports"].values())
        assert one["HostConfig"]["RestartPolicy"]["Name"] in {"", "no"}
        assert one["HostConfig"]["Memory"] > 0
        assert one["HostConfig"]["PidsLimit"] > 0
        assert not {mount.get("Name") for mount in one["Mounts"]} & live
        assert all(mount["Type"] != "bind" or not mount["RW"] for mount in one["Mounts"])
    (backend,) = [one for one in containers if one["Config"]["Labels"]["com.docker.compose.service"] == "backend"]
    assert "EMAIL_BACKEND=django.core.mail.backends.dummy.EmailBackend" in backend["Config"]["Env"]
    (live_db,) = docker("ps", "-q", "--filter", f"label=com.docker.compose.project={stack.project}",
                        "--filter", "label=com.docker.compose.service=db")  # fmt: skip
    (address,) = [one["IPAddress"] for one in inspected(live_db)["NetworkSettings"]["Networks"].values()]
    reach = f"import socket; socket.create_connection(({address!r}, 5432), timeout=3)"
    done = subprocess.run(
        ["docker", "exec", backend["Id"], "python", "-c", reach], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "OSError" in done.stderr or "TimeoutError" in done.stderr


def assert_refused(base):
    """Without the key of the address nobody reads the backup."""
    parts = urllib.parse.urlsplit(base)
    for path in ("/", "/admin/", "/-/guessed"):
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        connection.request("GET", path)
        assert connection.getresponse().status == 403
        connection.close()


@pytest.mark.contract("D1")
def test_what_a_killed_run_has_left_is_removed_by_the_next_and_a_living_place_is_not(untouched):
    stack = untouched
    with running(stack, "browse") as living:
        next(line for line in living.stdout if "127.0.0.1" in line)
        places = set(docker("ps", "-a", "--filter", f"label={LABEL}={stack.project}", "--format",
                            '{{.Label "korrigo-backup.place"}}'))  # fmt: skip
        with running(stack, "browse") as killed:
            next(line for line in killed.stdout if "Making" in line)
            eventually(lambda: len(private(stack, "ps", "--all")) > len(places) + 3)
            killed.kill()
            killed.wait(30)
        assert len(private(stack, "network ls")) == 2
        korrigo(stack, "backup", "db")
        assert len(private(stack, "network ls")) == 1
        left = docker("ps", "-a", "--filter", f"label={LABEL}={stack.project}", "--format",
                      '{{.Label "korrigo-backup.place"}}')  # fmt: skip
        assert set(left) == places
        assert living.poll() is None
    assert private(stack, "ps", "--all") == []
    assert list((stack.root / "backups").glob(".*-drill-*")) == []


@contextmanager
def image(directory, sql, more=""):
    """Build an image of the backend with one more migration, and `more` lines; yield its name."""
    tag = f"korrigo-t-rehearsed-{os.getpid()}:{len(sql) + len(more)}"
    (directory / "0003_more.py").write_text(MIGRATION.format(sql=sql))
    (directory / "Dockerfile").write_text(
        f"FROM {IMAGES['KORRIGO_BACKEND_IMAGE']}\nCOPY 0003_more.py /app/exams/migrations/0003_more.py\n{more}"
    )
    subprocess.run(["docker", "build", "--quiet", "--tag", tag, directory], capture_output=True, check=True)
    try:
        yield tag
    finally:
        docker("image", "rm", "--force", tag)


ANEW = "ALTER TABLE exams_annotation ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid()"
AGAINST_THE_ROWS = "CREATE UNIQUE INDEX exams_copy_one ON exams_copy (status)"


def rehearsed(stack, *arguments, code):
    """Return the document of a rehearsal, and the whole output."""
    output = korrigo(stack, "rehearse", *arguments, "--json", code=code)
    document = json.loads(output[: output.rindex("}") + 1])
    assert document["planned"][0] == "exams.0003_more"
    assert document["passed"] is (code == 0)
    return document, output


def levels_of(document):
    return {one["id"]: one["level"] for one in document["findings"]}


@pytest.mark.contract("X2")
@pytest.mark.parametrize(("sql", "code"), [(ANEW, 0), (AGAINST_THE_ROWS, 10)], ids=["written anew", "against the rows"])
def test_the_migrations_of_a_new_image_are_rehearsed_on_the_saved_rows(untouched, tmp_path, sql, code):
    with image(tmp_path, sql) as tag:
        done, output = rehearsed(untouched, "--image", tag, code=code)
    (migration,) = done["migrations"]
    assert migration["name"] == "exams.0003_more"
    if code:
        assert migration["seconds"] is None
        assert "in exams.0003_more: django.db.utils.IntegrityError: could not create unique index" in output
        assert "could not create unique index" in done["failure"]
        assert "the live site was not touched\n" in output
    else:
        assert migration["seconds"] > 0
        assert done["rewritten"] == migration["rewritten"] == ["public.exams_annotation"]
        assert {"table": "public.exams_annotation", "mode": "AccessExclusiveLock"} in migration["locks"]
        assert levels_of(done).items() >= {"validate.probe": "ok", "rehearse.locks": "ok"}.items()


MIGRATES_FIRST = """
ENTRYPOINT ["sh", "-c", "python manage.py migrate --noinput >&2 && exec backend-entrypoint \\"$@\\"", "--"]
CMD ["gunicorn", "korrigo_demo.wsgi:application", "--bind", "0.0.0.0:8000", "--workers", "2"]
"""


@pytest.mark.contract("X2")
def test_migrations_of_an_entry_point_are_named_as_unwatched(untouched, tmp_path):
    with image(tmp_path, ANEW, MIGRATES_FIRST) as tag:
        done, _ = rehearsed(untouched, "--image", tag, code=0)
    assert done["migrations"] == []
    assert levels_of(done).items() >= {"rehearse.unwatched": "warning", "validate.probe": "ok"}.items()


LATER = """
import time
from django.db import migrations
class Migration(migrations.Migration):
    dependencies = [("exams", "0003_more")]
    operations = [
        migrations.RunSQL("CREATE TABLE exams_new (id int)"),
        migrations.RunSQL("CREATE INDEX exams_copy_late ON exams_copy (status)"),
        migrations.RunPython(lambda apps, editor: time.sleep(1.2)),
    ]
"""
CONCURRENTLY = """
from django.db import migrations
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("exams", "0004_later")]
    operations = [migrations.RunSQL("CREATE INDEX CONCURRENTLY exams_exam_late ON exams_exam (name)")]
"""


@pytest.mark.contract("X2")
def test_a_checkout_is_rehearsed_and_each_migration_names_its_own_locks(untouched, tmp_path):
    stack, code = untouched, tmp_path / "code"
    (there,) = docker("create", IMAGES["KORRIGO_BACKEND_IMAGE"])
    docker("cp", f"{there}:/app", str(code))
    docker("rm", there)
    migrations = code / "exams" / "migrations"
    (migrations / "0003_more.py").write_text(MIGRATION.format(sql=ANEW))
    (migrations / "0004_later.py").write_text(LATER)
    (migrations / "0005_concurrently.py").write_text(CONCURRENTLY)
    listed = sorted(code.rglob("*"))
    korrigo(stack, "rehearse", "--checkout", tmp_path, code=6)
    done, _ = rehearsed(stack, "--checkout", code, code=0)
    first, second, third = done["migrations"]
    assert first["rewritten"] == ["public.exams_annotation"]
    assert second["seconds"] > 1.2
    assert {"table": "public.exams_copy", "mode": "ShareLock"} in second["locks"]
    assert "exams_new" not in str(second["locks"])
    assert second["rewritten"] == third["rewritten"] == []
    assert not [one for one in third["locks"] if one["mode"] == "AccessExclusiveLock"]
    assert levels_of(done)["rehearse.locks"] == "warning"
    (found,) = [one["message"] for one in done["findings"] if one["id"] == "rehearse.locks"]
    assert "exams.0004_later" in found
    assert "public.exams_copy against writes" in found
    assert sorted(code.rglob("*")) == listed


def drilled(stack, *arguments):
    """Return the document of a drill that passed, with the levels of its findings by id."""
    document = json.loads(korrigo(stack, "drill", *arguments, "--json"))
    assert document["verdict"] == "passed"
    assert document["place"] == "compose"
    return document, {one["id"]: one["level"] for one in document["findings"]}


USED = dict.fromkeys(
    ["validate.check", "validate.health", "validate.rows", "validate.media", "media.references", "validate.probe"], "ok"
)


@pytest.mark.contract("D2")
def test_a_drill_starts_the_application_on_the_backup_and_measures_the_recovery(untouched):
    stack = untouched
    document, levels = drilled(stack, "--place", "compose")
    assert list(document["phases"]) == ["check", "make", "load", "prove", "start", "validate", "remove"]
    aside = document["phases"]["make"] + document["phases"]["remove"]
    assert document["recovery"] == pytest.approx(sum(document["phases"].values()) - aside, abs=0.01)
    assert levels.items() >= USED.items()
    record = json.loads((stack.root / "backups" / ".journal.jsonl").read_text().splitlines()[-1])
    assert (record["verb"], record["place"], record["outcome"]) == ("drill", "compose", "done")
    assert record["proved"]
    assert "(drill, " in korrigo(stack, "status")


@pytest.mark.contract("D2")
def test_a_django_backup_is_drilled_by_the_sites_own_code_in_its_private_project(untouched):
    stack = untouched
    korrigo(stack, "backup", "full", "--method", "django")
    name = next((stack.root / "backups").glob("korrigo_backup_*")).name
    _, levels = drilled(stack, name, "--place", "compose")
    assert levels["verify.drilled"] == "ok"
    assert levels["validate.probe"] == "ok"


@pytest.mark.contract("D4")
def test_a_disaster_drill_destroys_a_private_stack_with_its_volumes_and_recovers_it(untouched):
    stack = untouched
    document, levels = drilled(stack, "--level", "disaster")
    assert list(document["phases"]) == ["check", "make", "rebuild", "load", "prove", "start", "validate", "remove"]
    aside = document["phases"]["make"] + document["phases"]["remove"]
    assert document["recovery"] == pytest.approx(sum(document["phases"].values()) - aside, abs=0.01)
    assert levels.items() >= USED.items()
    output = korrigo(stack, "drill", "--level", "disaster", "--place", "local", code=2)
    assert "--place compose" in output
