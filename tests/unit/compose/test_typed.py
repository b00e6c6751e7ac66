"""The command line of a PostgreSQL client as a person types it, where it reaches the server."""

import shlex
from pathlib import Path

from korrigo_backup.compose.access import ComposeAccess
from korrigo_backup.compose.project import Project
from korrigo_backup.core.secret import Secret
from korrigo_backup.postgres.access import Direct


def test_under_compose_the_client_runs_in_the_container_of_the_database():
    project = Project(("docker", "compose"), (Path("/srv/my shop/prod.yml"),), {}, name="shop")
    line = ComposeAccess(project, "db", "shop_user", Secret("pw")).typed("dropdb", "shop_before_1")
    assert shlex.split(line) == [
        *("docker", "compose", "-f", "/srv/my shop/prod.yml", "-p", "shop"),
        *("exec", "db", "dropdb", "-U", "shop_user", "shop_before_1"),
    ]


def test_directly_the_client_names_the_server_and_never_the_password():
    line = Direct("db.example.org", 5433, "shop_user", Secret("pw"), 10, Path("/opt/pg/bin")).typed("dropdb", "shop'1")
    words = ["/opt/pg/bin/dropdb", "-h", "db.example.org", "-p", "5433", "-U", "shop_user", "shop'1"]
    assert shlex.split(line) == words
