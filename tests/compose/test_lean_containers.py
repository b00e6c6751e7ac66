"""Containers as small and closed as they can be: busybox, no root, read-only, little memory, an impatient server."""

import pytest
from korrigoshape import made_shape
from test_product import korrigo


@pytest.fixture(scope="module")
def lean(engine, tmp_path_factory):
    with made_shape(tmp_path_factory.mktemp("lean"), 9005, lean=True) as made:
        yield made.configured()


@pytest.mark.contract("C2")
@pytest.mark.promise("P9")
@pytest.mark.parametrize("method", ["sql", "django"])
def test_lean_containers_are_backed_up_restored_and_rolled_back(lean, method):
    assert "busybox" in lean.exec("db", "readlink", "/bin/sh").stdout
    assert lean.exec("backend", "id", "-u").stdout.strip() == "1000"
    assert "❌" not in korrigo(lean, "doctor")
    saved = lean.testify()
    korrigo(lean, "backup", "full", *(("--method", "django") if method == "django" else ()))
    lean.sql("DELETE FROM exams_annotation; UPDATE exams_exam SET name = 'lost'")
    lean.exec("backend", "sh", "-c", "rm -r /app/media/booklets")
    lost = lean.testify()
    korrigo(lean, "verify", "all")
    kind = "korrigo_backup_*" if method == "django" else "restore_point_*.json"
    made = max(path.name for path in (lean.root / "backups").glob(kind) if "manifest" not in path.name)
    said = korrigo(lean, "restore", made, "--yes")
    assert "❌" not in said
    assert lean.testify() == saved
    korrigo(lean, "rollback", "--yes")
    assert lean.testify() == lost
    korrigo(lean, "rollback", "--to", "after", "--yes")
    assert lean.testify() == saved
