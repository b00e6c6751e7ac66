"""A checkout over the code of the backend: which of its entries are mounted, and which mounts of the site stay."""

import pytest

from korrigo_backup.compose.private_code import code_over, with_new_image
from korrigo_backup.compose.private_mounts import PrivateOptions
from korrigo_backup.errors import NotFound

MANAGE = ("python", "manage.py")


def bind(source, target):
    return {"type": "bind", "source": str(source), "target": target, "read_only": True}


def volume(target):
    return {"type": "volume", "source": "fresh-0", "target": target}


@pytest.fixture
def checkout(tmp_path):
    for name in (
        "manage.py",
        "exams/models.py",
        "core/settings.py",
        "core/local.py",
        "media/x.pdf",
        ".git/HEAD",
        "venv/x.py",
    ):
        path = tmp_path / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path / "code"


def test_each_entry_of_code_is_mounted_over_the_directory_of_manage(checkout):
    over = code_over(checkout, "/app", MANAGE, [volume("/app/media")])
    assert over.paths == {f"/app/{name}": str(checkout / name) for name in ("core", "exams", "manage.py")}
    inner = code_over(checkout, "/srv", ("python", "backend/manage.py"), [])
    assert inner.paths["/srv/backend/exams"] == str(checkout / "exams")
    assert code_over(checkout, "/", ("python", "/app/manage.py"), []).home == "/app"


def test_a_settings_file_and_data_of_the_site_stay_and_its_mounts_of_code_do_not(checkout, tmp_path):
    settings = tmp_path / "local.py"
    settings.write_text("SECRET = 1")
    mounts = [bind(settings, "/app/core/local.py"), bind(tmp_path / "old", "/app/exams"), volume("/app/media")]
    over = code_over(checkout, "/app", MANAGE, mounts)
    assert "/app/core" not in over.paths
    assert over.paths["/app/core/settings.py"] == str(checkout / "core/settings.py")
    made = over.mounted(mounts, lambda path: path == str(settings))
    assert [one["source"] for one in made[:2]] == [str(settings), "fresh-0"]
    assert made[-1]["bind"] == {"create_host_path": False}
    assert all(one["read_only"] for one in made if one["type"] == "bind")


def test_a_directory_without_manage_is_refused_with_the_one_that_has_it(checkout):
    with pytest.raises(NotFound, match=r"has no manage\.py") as refused:
        code_over(checkout.parent, "/app", MANAGE, [])
    assert refused.value.hint == f"name the directory {checkout}"


def test_another_image_is_that_of_the_workers_too():
    options = PrivateOptions(
        name="x", database="db", backend="backend", media=None, images={"db": "d", "backend": "b", "celery": "b"},
        is_code=bool, is_file=bool,
    )  # fmt: skip
    assert with_new_image(options, "n") == {"db": "d", "backend": "n", "celery": "n"}
