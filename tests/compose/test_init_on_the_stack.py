"""`init` and the recovery kit where the site runs in containers."""

import os
import tomllib

import pytest
from pyrage import x25519

from compose.test_product import korrigo

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="the engine's volumes are root's")


@pytest.fixture
def settings(stack):
    """The operator's directory, whose `.env` and configuration may be changed; as it was, afterwards."""
    dotenv, toml = stack.root / ".env", stack.root / "korrigo-backup.toml"
    before, there = dotenv.read_text(), set(stack.root.glob("*"))
    toml.unlink(missing_ok=True)
    yield stack
    dotenv.write_text(before)
    for made in set(stack.root.glob("korrigo-backup.*")) - there | {toml}:
        made.unlink(missing_ok=True)


@as_root
@pytest.mark.contract("C2")
@pytest.mark.contract("C4")
def test_a_stack_is_configured_checked_and_backed_up_and_its_kit_holds_its_commands(settings):
    stack = settings
    with (stack.root / ".env").open("a") as file:
        file.write(f"\nPOSTGRES_HOST=db\nKORRIGO_BACKUP_KIT_RECIPIENTS={x25519.Identity.generate().to_public()}\n")
    output = korrigo(stack, "init")
    for line in (
        "Docker ",
        "Compose ",
        "services running: backend, celery, celery-beat, db, nginx, redis",
        "database viatique answers",
        "pg_dump 15",
        "files, ",
    ):
        assert line in output, output
    written = tomllib.loads((stack.root / "korrigo-backup.toml").read_text())
    assert written["site"]["access"] == "compose"
    assert written["services"]["health_url"] == stack.health_url
    assert "infra/docker/docker-compose.prod.yml" in korrigo(stack, "kit", "make")
    korrigo(stack, "backup")
