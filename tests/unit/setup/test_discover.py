"""What a directory tells about its site, for the shapes that projects have."""

import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from korrigo_backup.compose.file import read
from korrigo_backup.config.load import load
from korrigo_backup.core.finding import Level
from korrigo_backup.setup.discover import compose_files, discover
from korrigo_backup.setup.discover_compose import health_addresses
from korrigo_backup.setup.init import draft

COOKIECUTTER = """
services:
  django: &django
    build: {context: ., dockerfile: ./compose/production/django/Dockerfile}
    image: shop_production_django
    volumes: [production_django_media:/app/shop/media]
    depends_on: [postgres, redis]
    env_file: [./.envs/.django, ./.envs/.postgres]
    command: /start
  postgres:
    build: {context: ., dockerfile: ./compose/production/postgres/Dockerfile}
    image: shop_production_postgres
    volumes: [production_postgres_data:/var/lib/postgresql/data]
    env_file: [./.envs/.postgres]
  traefik: {image: shop_production_traefik}
  redis: {image: docker.io/redis:6}
  celeryworker: {<<: *django, image: shop_production_celeryworker, command: /start-celeryworker}
  flower: {<<: *django, image: shop_production_flower, command: /start-flower}
"""

SMALL = """
name: blog
services:
  db: {image: "postgis/postgis:16-3.4", environment: {POSTGRES_USER: "${DB_USER:-blog}", POSTGRES_PASSWORD: s3cret}}
  web:
    build: .
    command: gunicorn blog.wsgi
    environment: {MEDIA_ROOT: /data/uploaded}
    volumes: ["./uploaded:/data/uploaded", "static:/static"]
  metrics: {image: prometheuscommunity/postgres-exporter}
"""


@pytest.fixture
def project(tmp_path):
    home = tmp_path / "shop"
    home.mkdir()
    return home


def levels(found):
    return {finding.id: finding.level for finding in found.findings}


def test_a_cookiecutter_project_is_understood(project):
    (project / "production.yml").write_text(COOKIECUTTER)
    (project / ".envs").mkdir()
    (project / ".envs" / ".postgres").write_text("POSTGRES_HOST=postgres\nPOSTGRES_DB=shop\nPOSTGRES_USER=me\n")
    found = discover(project, {})
    assert found.reached
    assert found.values == {
        "site": {"name": "shop"},
        "compose": {"files": ["production.yml"], "db": "postgres", "backend": "django", "media": "/app/shop/media"},
        "database": {"name": "shop", "user": "me"},
        "media": {"archive_root": "app/shop/media"},
    }


def test_a_small_project_is_understood_and_its_overrides_are_named(project):
    (project / "docker-compose.yml").write_text(SMALL)
    (project / "docker-compose.override.yml").write_text("services: {}\n")
    found = discover(project, {"POSTGRES_HOST": "db"})
    assert found.values == {
        "site": {"name": "blog", "access": "compose"},
        "compose": {
            "files": ["docker-compose.yml", "docker-compose.override.yml"], "backend": "web", "media": "/data/uploaded"
        },
        "database": {"name": "blog", "user": "blog"},
        "media": {"archive_root": "data/uploaded"},
    }  # fmt: skip
    assert "s3cret" not in str(found)


def test_a_value_of_the_environment_is_not_written_again(project):
    (project / "compose.yaml").write_text(SMALL)
    environment = {"DB_USER": "other", "POSTGRES_DB": "given", "KORRIGO_BACKUP_SITE": "given"}
    found = discover(project, environment)
    assert found.values["database"] == {"user": "other"}
    assert "site" not in found.values


def test_a_host_that_is_no_service_means_direct_access(project):
    (project / "compose.yaml").write_text(SMALL)
    found = discover(project, {"POSTGRES_HOST": "127.0.0.1", "MEDIA_ROOT": "/srv/media"})
    assert levels(found) == {"site.direct": Level.OK}
    assert "compose" not in found.values


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ("services: {}", "site.compose"),
        ("services: {web: {command: gunicorn x}}", "site.compose"),
        ("services: {db: {image: 'postgres:15'}}", "site.backend"),
        ("services: {db: {image: 'postgres:15'}, web: {command: gunicorn x}}", "site.media"),
        ("services: {db: {image: 'postgres:15'}, celery: {command: celery -A x}}", "site.backend"),
    ],
)
def test_discover_reports_each_missing_part_of_the_compose_file(project, text, id_):
    (project / "compose.yml").write_text(text)
    assert levels(discover(project, {}))[id_] in {Level.WARNING, Level.ERROR}


@pytest.mark.parametrize(
    ("variables", "database"),
    [
        ('DATABASE_URL: "postgres://shop:s3cret%21@db:5432/sh%C3%B6p?x=1"', {"name": "shöp", "user": "shop"}),
        ("DB_NAME: shop, DB_USER: me", {"name": "shop", "user": "me"}),
        ("SQL_DATABASE: shop", {"name": "shop", "user": "postgres"}),
    ],
)
def test_a_database_that_its_image_does_not_name_is_that_of_the_application(project, variables, database):
    (project / "compose.yml").write_text(
        f"services: {{db: {{image: 'postgres:15'}}, web: {{command: gunicorn x, environment: {{{variables}}}}}}}"
    )
    found = discover(project, {})
    assert found.values["database"] == database
    assert "site.default_database" not in levels(found)


def test_a_database_that_nobody_names_is_a_warning(project):
    (project / "compose.yml").write_text("services: {db: {image: 'postgres:15'}, web: {command: gunicorn x}}")
    assert levels(discover(project, {}))["site.default_database"] is Level.WARNING
    (project / "compose.yml").write_text(
        "services: {db: {image: 'postgres:15', environment: {POSTGRES_USER: me}}, web: {command: gunicorn x}}"
    )
    assert "site.default_database" not in levels(discover(project, {}))


def test_the_archive_root_of_a_new_site_is_its_media_directory_and_that_of_an_old_one_stays(project):
    environment = {"POSTGRES_HOST": "127.0.0.1", "MEDIA_ROOT": "../uploads/"}
    root = f"{project.parent}/uploads".lstrip("/")
    assert f'\narchive_root = "{root}"' in draft(project, environment, project / "new.toml").text
    (project / "old.toml").write_text('[site]\nname = "shop"\n')
    assert '# archive_root = "app/media"' in draft(project, environment, project / "old.toml").text


def test_compose_s_own_variable_names_the_files(project):
    for name in ("a.yml", "b.yml", "compose.yaml"):
        (project / name).write_text("services: {}")
    assert [str(path) for path in compose_files(project, {"COMPOSE_FILE": "a.yml:b.yml"})] == ["a.yml", "b.yml"]
    assert compose_files(project, {"COMPOSE_FILE": "a.yml:gone.yml"}) == ()


def test_the_env_file_is_given_to_compose_where_compose_would_not_find_it(project):
    (project / "deploy").mkdir()
    (project / "deploy" / "compose.yaml").write_text(SMALL)
    (project / ".env").write_text("")
    assert discover(project, {}).values["compose"]["env_file"] == ".env"
    (project / "deploy" / ".env").symlink_to("../.env")
    assert "env_file" not in discover(project, {}).values["compose"]


def test_discover_reports_an_error_for_an_empty_directory(project):
    found = discover(project, {})
    assert not found.reached
    assert levels(found)["site.unknown"] is Level.ERROR


@pytest.mark.parametrize(
    "garbage", ["[database", "[databse]\nname = 1\n", "\x00", "[site]\naccess = 'x'\n", "name = 1\n"]
)
def test_an_unreadable_former_configuration_is_reported_and_its_values_are_not_kept(project, garbage):
    (project / "compose.yaml").write_text(SMALL)
    (project / "korrigo-backup.toml").write_text(garbage)
    made = draft(project, {}, project / "korrigo-backup.toml")
    assert made.findings[0].level is Level.WARNING
    assert made.text == draft(project, {}, project / "other.toml").text


def test_what_a_former_configuration_sets_stays(project):
    (project / "compose.yaml").write_text(SMALL)
    former = project / "korrigo-backup.toml"
    former.write_text(
        '[site]\nname = "ours"\n[compose]\nbackend = "django"\nprofiles = ["a b"]\n[notify.subjects]\nfailure = "x"\n'
    )
    former.write_text(draft(project, {}, former).text)
    read = load(project, {}, former)
    assert (read.site.name, read.compose.backend, read.compose.profiles) == ("ours", "django", ("a b",))
    assert read.notify.subjects == {"failure": "x"}
    assert read.compose.media == "/data/uploaded"
    assert not draft(project, {}, former).new


def test_a_directory_whose_name_is_no_text_gives_no_name(tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    assert discover(odd, {"POSTGRES_HOST": "here"}).values == {}


@pytest.mark.parametrize(
    ("test", "ports", "address"),
    [
        (
            '["CMD", "curl", "-f", "http://localhost:8000/api/health/"]',
            '["9000:8000"]',
            "http://localhost:9000/api/health/",
        ),
        ("wget -q http://127.0.0.1/up || exit 1", '["8080:80"]', "http://127.0.0.1:8080/up"),
        (
            '["CMD", "python", "-c", "r.urlopen(\'http://localhost:8000/h/\', timeout=4)"]',
            '["8000:8000"]',
            "http://localhost:8000/h/",
        ),
        ("curl http://localhost:8000/api/health/", '["8000"]', None),
        ("pg_isready", '["8000:8000"]', "http://localhost:8000/api/health/"),
    ],
)
def test_the_health_check_of_the_backend_is_translated_to_this_machine(project, test, ports, address):
    (project / "compose.yaml").write_text(
        f"services: {{web: {{command: gunicorn x, ports: {ports}, healthcheck: {{test: {test if test[0] == '[' else repr(test)}}}}}}}"
    )
    (backend,) = read([project / "compose.yaml"], {}).services.values()
    assert next(health_addresses(backend, []), None) == address


def test_a_health_addresses_is_set_only_where_it_answers(project):
    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/up" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    text = "services: {{db: {{image: 'postgres:15'}}, web: {{command: gunicorn x, ports: ['{0}:80'], healthcheck: {{test: 'curl localhost {1}'}}}}}}"
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            for path, expected in (
                ("up", {"services": {"health_url": f"http://127.0.0.1:{server.server_port}/up"}}),
                ("gone", {}),
            ):
                (project / "compose.yaml").write_text(text.format(server.server_port, f"http://127.0.0.1/{path}"))
                found = discover(project, {"POSTGRES_DB": "x", "POSTGRES_USER": "x"}).values
                assert {key: found[key] for key in found if key == "services"} == expected
        finally:
            server.shutdown()
            thread.join()
