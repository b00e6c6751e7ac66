"""The document of a private Compose project: what it keeps of the site's own, and the ways out that it cuts."""

from dataclasses import replace
from typing import Any

import pytest

from korrigo_backup.compose.private_document import (
    PLACE_LABEL,
    SITE_LABEL,
    inner_ports,
    needed_services,
    private_document,
    tasks,
)
from korrigo_backup.compose.private_mounts import PrivateOptions
from korrigo_backup.errors import Refused

OPTIONS = PrivateOptions(
    name="shop-drill-20260204_030000",
    database="db",
    backend="backend",
    media="/app/media",
    images={"db": "sha256:d", "backend": "sha256:b", "celery": "sha256:b"},
    is_code=lambda path: path.endswith("/code"),
    is_file=lambda path: path.endswith(".conf"),
)


def volume(source, target, **more):
    return {"type": "volume", "source": source, "target": target, "volume": {}, **more}


def bind(source, target, **more):
    return {"type": "bind", "source": source, "target": target, "bind": {"create_host_path": True}, **more}


def site(**changes):
    """Return a site as Compose resolves it; `changes` are added to its services."""
    services: dict[str, dict[str, Any]] = {
        "db": {"image": "postgres:15", "environment": {"POSTGRES_PASSWORD": "pa$$55"},
               "volumes": [volume("data", "/var/lib/postgresql/data")], "networks": {"default": None}},
        "redis": {"image": "redis:7", "volumes": [volume("queue", "/data")]},
        "backend": {"image": "shop/backend", "build": {"context": "."},
                    "environment": {"POSTGRES_HOST": "db", "CELERY_BROKER_URL": "redis://redis:6379/0"},
                    "volumes": [volume("media", "/app/media")],
                    "ports": [{"target": 8000, "published": "8000", "protocol": "tcp"}],
                    "depends_on": {"db": {"condition": "service_healthy"}, "redis": {"condition": "service_started"}}},
        "celery": {"image": "shop/backend", "volumes": [volume("media", "/app/media")],
                   "depends_on": {"backend": {"condition": "service_healthy"}}},
        "nginx": {"image": "nginx", "ports": [{"target": 80, "published": "80"}],
                  "depends_on": {"backend": {"condition": "service_healthy"}}},
    }  # fmt: skip
    for name, body in changes.items():
        services[name] = {**services.get(name, {}), **body}
    volumes = {"data": {"name": "shop_data"}, "media": {"external": True, "name": "live_media"}}
    return {"name": "shop", "services": services, "networks": {"default": {"name": "shop_default"}}, "volumes": volumes}


def made(options=OPTIONS, **changes):
    return private_document(site(**changes), options)


def mounts(document, service="backend"):
    return {one["target"]: one for one in document["services"][service]["volumes"]}


def test_only_the_database_the_backend_and_what_it_depends_on_are_kept_in_the_order_of_their_start():
    assert list(made()["services"]) == ["db", "redis", "backend"]


def test_a_worker_that_the_backend_depends_on_is_left_out_and_a_task_that_prepares_it_is_kept():
    needs = {"celery": {"condition": "service_started"}, "migrate": {"condition": "service_completed_successfully"}}
    document = site(backend={"depends_on": needs}, migrate={"image": "shop/backend"})
    options = replace(OPTIONS, images={})
    assert needed_services(document["services"], options) == ("db", "migrate", "redis", "backend")
    assert tasks(document, "backend") == ("migrate",)


def test_a_service_that_the_backend_names_in_its_environment_alone_is_kept():
    environment = {"DATABASE_URL": "postgres://u:p@pooler:6432/shop", "CACHE": "memcached:11211", "NAME": "nginx-like"}
    document = site(
        backend={"depends_on": {}, "environment": environment},
        pooler={"image": "pgbouncer", "depends_on": {"db": {}}},
        cache={"image": "memcached", "container_name": "memcached"},
    )
    assert set(needed_services(document["services"], OPTIONS)) == {"db", "backend", "pooler", "cache"}


def test_the_only_network_has_no_way_out_and_no_port_is_published():
    document = made(backend={"network_mode": "host", "extra_hosts": ["mail:10.0.0.1"], "privileged": True,
                             "container_name": "shop-web", "restart": "always", "labels": {"traefik.enable": "true"},
                             "logging": {"driver": "gelf"}})  # fmt: skip
    assert document["networks"] == {"default": {"internal": True, "labels": document["services"]["db"]["labels"]}}
    backend = document["services"]["backend"]
    gone = {"ports", "network_mode", "extra_hosts", "privileged", "container_name", "build", "depends_on", "profiles"}
    assert gone & backend.keys() == set()
    assert backend["networks"] == {"default": {"aliases": ["shop-web"]}}
    assert backend["labels"] == {PLACE_LABEL: OPTIONS.name, SITE_LABEL: "shop"}
    assert backend["restart"] == "no"
    assert backend["logging"]["driver"] == "json-file"
    assert backend["dns"] == ["127.0.0.1"]


def test_the_images_are_those_that_run_and_none_is_pulled():
    services = made()["services"]
    assert services["backend"]["image"] == "sha256:b"
    assert services["redis"]["image"] == "redis:7"
    assert {one["pull_policy"] for one in services.values()} == {"never"}


def test_a_service_without_container_and_image_is_refused_by_name():
    with pytest.raises(Refused, match="the image of the service backend is unknown"):
        made(replace(OPTIONS, images={}), backend={"image": None})


def test_a_service_that_the_files_do_not_have_is_refused():
    with pytest.raises(Refused, match="no service postgres"):
        made(replace(OPTIONS, database="postgres"))


def test_volumes_of_the_site_are_replaced_by_fresh_volumes_also_external_ones():
    document = made()
    assert {one["type"] for name in document["services"] for one in mounts(document, name).values()} == {"volume"}
    assert "media" not in document["volumes"]
    assert "data" not in document["volumes"]
    labels = document["services"]["db"]["labels"]
    assert all(one == {"labels": labels} for one in document["volumes"].values())


def test_directories_that_the_site_writes_to_are_fresh_and_shared_by_the_services_that_share_them():
    document = made(
        db={"volumes": [bind("/srv/pg", "/var/lib/postgresql/data"), bind("/srv/pg.conf", "/etc/pg.conf")]},
        backend={"volumes": [bind("/srv/media", "/app/media"), bind("/srv/code", "/app")]},
        redis={"volumes": [bind("/srv/media", "/m", read_only=True)]},
    )
    assert mounts(document, "db")["/var/lib/postgresql/data"]["type"] == "volume"
    assert mounts(document, "db")["/etc/pg.conf"] == {
        "type": "bind",
        "source": "/srv/pg.conf",
        "target": "/etc/pg.conf",
        "read_only": True,
    }
    backend = mounts(document)
    assert backend["/app"] == {"type": "bind", "source": "/srv/code", "target": "/app", "read_only": True}
    assert backend["/app/media"]["type"] == "volume"
    assert mounts(document, "redis")["/m"]["source"] == backend["/app/media"]["source"]


def test_media_inside_the_code_are_covered_by_a_fresh_volume_wherever_they_are_mounted():
    document = made(
        backend={"volumes": [bind("/srv/code", "/app")]},
        redis={"volumes": [bind("/srv/code/media", "/media", read_only=True)]},
    )
    fresh = mounts(document)["/app/media"]
    assert fresh["type"] == "volume"
    assert mounts(document, "redis")["/media"]["source"] == fresh["source"]


@pytest.mark.parametrize(
    "source", ["/var/run/docker.sock", "/", "/dev/kvm", "/run/systemd", "/home/a/.docker/docker.sock"]
)
def test_the_sockets_and_devices_of_the_machine_are_not_mounted(source):
    document = made(backend={"volumes": [bind(source, "/x"), volume("media", "/app/media")]})
    assert set(mounts(document)) == {"/app/media"}


def test_mail_is_cut_off_and_a_broker_inside_is_kept():
    environment = made(backend={"environment": {"EMAIL_HOST": "smtp.school.example", "SENTRY_DSN": "https://k@s.io/1",
                                                "CELERY_BROKER_URL": "redis://redis:6379/0"}})["services"]["backend"][
        "environment"
    ]  # fmt: skip
    assert environment["EMAIL_HOST"] == "127.0.0.1"
    assert environment["EMAIL_BACKEND"].endswith("dummy.EmailBackend")
    assert environment["SENTRY_DSN"] == ""
    assert environment["CELERY_BROKER_URL"] == "redis://redis:6379/0"
    assert environment["KORRIGO_BACKUP_PLACE"] == OPTIONS.name


def test_a_broker_outside_is_replaced_by_none():
    environment = made(backend={"environment": {"CELERY_BROKER_URL": "amqps://u:p@queue.school.example//"}})
    assert environment["services"]["backend"]["environment"]["CELERY_BROKER_URL"] == "memory://"


def test_the_database_keeps_its_environment_as_compose_wrote_it():
    assert made()["services"]["db"]["environment"] == {"POSTGRES_PASSWORD": "pa$$55"}


def test_limits_of_the_site_are_kept_and_others_are_set():
    services = made(backend={"deploy": {"resources": {"limits": {"memory": "536870912"}}}})["services"]
    assert services["backend"]["mem_limit"] == "536870912"
    assert services["db"]["mem_limit"]
    assert services["db"]["pids_limit"]


def test_media_can_be_mounted_read_only():
    document = made(replace(OPTIONS, media_read_only=True))
    assert mounts(document)["/app/media"]["read_only"] is True
    assert "read_only" not in mounts(document, "db")["/var/lib/postgresql/data"]


def test_only_secrets_that_are_used_are_kept():
    document = site(backend={"secrets": [{"source": "key", "target": "key"}]})
    document["secrets"] = {"key": {"file": "/srv/key"}, "other": {"file": "/srv/other"}}
    assert private_document(document, OPTIONS)["secrets"] == {"key": {"file": "/srv/key"}}


def test_the_ports_inside_are_those_that_the_site_publishes():
    assert inner_ports(site(), "backend") == (8000,)
    assert inner_ports(site(backend={"ports": [], "expose": ["9000"]}), "backend") == (9000,)
