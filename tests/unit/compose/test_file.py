"""Compose files as text: what services are, with variables filled, and what is said of what is no Compose file."""

from pathlib import Path

import pytest

from korrigo_backup.compose.file import Volume, filled, read
from korrigo_backup.errors import UsageError

PROJECT = Path(__file__).parents[3]
PROD = PROJECT / "infra" / "docker" / "docker-compose.prod.yml"


@pytest.fixture
def written(tmp_path):
    def write(text, name="compose.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.mark.contract("C2")
def test_the_reference_stack_is_understood():
    text = read([PROD], {"POSTGRES_USER": "other"})
    assert text.project == "korrigo"
    assert sorted(text.services) == ["backend", "celery", "celery-beat", "db", "nginx", "redis"]
    assert text.services["db"].image == "postgres:15-alpine"
    assert text.services["db"].environment["POSTGRES_USER"] == "other"
    assert Volume("media_volume", "/app/media") in text.services["backend"].volumes
    assert Volume("media_volume", "/app/media", read_only=True) in text.services["nginx"].volumes
    assert text.services["backend"].depends_on == {"db", "redis"}
    assert text.services["backend"].ports == {"8000": "8000"}
    assert text.services["nginx"].ports == {"80": "80"}


def test_ports_that_this_machine_answers_for_are_known(written):
    ports = '["8000", "81:80", "0.0.0.0:82:8080/tcp", "10.0.0.1:83:84", "${P:-85}:86", {target: 87, published: "88"}, "90-91:90-91"]'
    (service,) = read([written(f"services: {{web: {{ports: {ports}}}}}")], {}).services.values()
    assert service.ports == {"80": "81", "8080": "82", "86": "85", "87": "88"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A/${A}", "1/1"),
        ("${B:-word}${B-word}${C-word}${A:-word}", "wordword1"),
        ("${B:?why}${A:?why}", "1"),
        ("${A:+yes}${B:+no}", "yes"),
        ("$$A $ ${", "$A $ ${"),
        ("postgres:${V:-15}-alpine", "postgres:15-alpine"),
    ],
)
def test_variables_are_filled_as_compose_fills_them(text, value):
    assert filled(text, {"A": "1", "B": ""}) == value


def test_a_later_file_adds_to_an_earlier_one_and_both_forms_of_everything_are_read(written):
    first = written("""
        services:
          db:
            image: postgres:16
            env_file: [./db.env, {path: more.env, required: false}]
            environment: [POSTGRES_DB=site, "POSTGRES_USER", PATH_WITH=a=b]
            volumes: ["data:/var/lib/postgresql/data:ro,z", {type: bind, source: ./x, target: /y, read_only: true}, /anonymous]
        secrets: {password: {file: ./password.txt}}
        """)
    second = written(
        "services: {db: {volumes: !override ['other:/var/lib/postgresql/data'], ports: !reset null}}", "b.yml"
    )
    text = read([first, second], {"POSTGRES_USER": "me"})
    db = text.services["db"]
    assert db.image == "postgres:16"
    assert db.environment == {"POSTGRES_DB": "site", "POSTGRES_USER": "me", "PATH_WITH": "a=b"}
    assert set(db.volumes) == {
        Volume("other", "/var/lib/postgresql/data"), Volume("./x", "/y", read_only=True), Volume("", "/anonymous")
    }  # fmt: skip
    assert text.settings_files == ("./db.env", "more.env", "./password.txt")


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    "text",
    [
        "services: [\n  s3cret",
        "s3cret",
        "- s3cret",
        "services: s3cret",
        "services: {db: s3cret}",
        "services:\n  db:\n\t- s3cret",
        "a: *s3cret",
        "\x00s3cret",
        "!!python/object/apply:os.system [s3cret]",
        "{" * 2000,
    ],
)
def test_a_file_that_is_no_compose_file_is_reported_without_quoting_it(written, text):
    with pytest.raises(UsageError) as caught:
        read([written(text)], {})
    assert "compose.yaml" in caught.value.message
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize("body", ["{}", "{volumes: 7, environment: 7, env_file: 7, depends_on: 7, image: [a]}"])
def test_odd_values_of_a_service_are_as_none(written, body):
    (service,) = read([written(f"services: {{db: {body}}}")], {}).services.values()
    assert (service.image, service.volumes, dict(service.environment), service.env_files) == ("", (), {}, ())
