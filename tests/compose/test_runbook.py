"""The runbook's sections 4, 5 and 9 on the real stack, command by command, as they stand there."""

import gzip
import os
import re
import shutil
from urllib.request import urlopen

import pytest

from compose.dockerstack import PREFIX, PROJECT, docker
from compose.test_interrupted import started
from compose.test_product import files, korrigo, rows, typed

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="the engine's volumes are root's")


def lose(stack):
    """Lose rows and files."""
    stack.sql("UPDATE exams_exam SET name = 'lost'; DELETE FROM exams_annotation")
    stack.exec("backend", "sh", "-c", "rm -rf /app/media/copies* && echo intruder > /app/media/intruder.pdf")


def newest(stack, pattern):
    return max((stack.root / "backups").glob(pattern))


def relative(stack, path):
    return str(path.relative_to(stack.root))


def manage(stack, *arguments):
    """`docker compose … exec backend python manage.py …`, as root, which is whom exec runs as."""
    return stack.exec("backend", "python", "manage.py", *arguments).stdout


@pytest.mark.contract("B1")
@pytest.mark.contract("B11")
def test_4_1_to_4_2_the_checklist_the_script_and_the_pipeline_by_hand(stack):
    assert "running" in stack.compose("ps", "--format", "json").stdout
    assert "accepting connections" in stack.exec("db", "pg_isready").stdout
    printed = typed(stack, "./scripts/backup_db.sh")
    assert re.search(r"📦 Creating database backup: backups/db_backup_\d{8}_\d{6}\.sql", printed)
    assert "🧹 Cleaned 0 old backups (>30 days)" in printed
    made = newest(stack, "db_backup_2*.sql.gz")
    typed(stack, "gzip", "-t", relative(stack, made))
    assert "✅" in typed(stack, "./scripts/validate_backup.sh", relative(stack, made))
    # 4.2's own listing: pg_dump through exec -T, then gzip
    plain = stack.exec("db", "pg_dump", "-U", "viatique_user", "-d", "viatique").stdout
    by_hand = stack.root / "backups" / "db_backup_20200101_000000.sql.gz"
    by_hand.write_bytes(gzip.compress(plain.encode()))
    korrigo(stack, "verify", relative(stack, by_hand))


@as_root
@pytest.mark.contract("B2")
@pytest.mark.contract("R2")
def test_4_3_and_5_4_method_2_made_in_the_container_copied_out_and_in_and_restored(stack):
    for place in ("/tmp/backups", "/tmp/database-alone"):
        stack.exec("backend", "rm", "-rf", place)
    printed = manage(stack, "backup", "--output-dir", "/tmp/database-alone")
    assert "Successfully created backup at: /tmp/database-alone/korrigo_backup_" in printed
    printed = manage(stack, "backup", "--output-dir", "/tmp/backups", "--include-media")
    ((path, name),) = re.findall(r"Successfully created backup at: (/tmp/backups/(korrigo_backup_\S+))", printed)
    saved, tree = rows(stack), files(stack)
    stack.exec("backend", "tar", "-czf", f"/tmp/{name}.tar.gz", "-C", "/tmp/backups", name)
    (stack.root / "backups").mkdir(mode=0o700, exist_ok=True)
    stack.compose("cp", f"backend:/tmp/{name}.tar.gz", "./backups/")
    typed(stack, "tar", "-xzf", f"backups/{name}.tar.gz", "-C", "backups")
    stack.exec("backend", "rm", "-rf", path, f"/tmp/{name}.tar.gz")
    assert "objects, all JSON" in korrigo(stack, "verify", f"backups/{name}")
    lose(stack)
    lost = rows(stack)
    stack.compose("cp", f"./backups/{name}", f"backend:{path}")
    stack.compose("stop", "nginx")
    printed = manage(stack, "restore", path, "--dry-run")
    assert "DRY RUN MODE - No changes will be made" in printed
    assert "Would restore media files..." in printed
    assert rows(stack) == lost
    assert "Restore completed successfully" in manage(stack, "restore", path)
    stack.compose("start", "nginx")
    stack.up()
    assert (rows(stack), files(stack)) == (saved, tree)
    with urlopen(stack.health_url, timeout=30) as answer:  # noqa: S310 - the stack's own address
        assert answer.status == 200
    stack.exec("backend", "rm", "-rf", "/tmp/backups", "/tmp/database-alone")


@as_root
@pytest.mark.contract("B4")
@pytest.mark.contract("R5")
@pytest.mark.contract("T5")
@pytest.mark.parametrize("recipe", ["container", "volume"])
def test_4_5_and_5_5_media_archived_by_either_recipe_come_back(stack, recipe):
    tree = files(stack)
    name = "media_backup_20260101_040000.tar.gz"
    (stack.root / "backups").mkdir(mode=0o700, exist_ok=True)
    if recipe == "container":  # whose root is app/media
        stack.exec("backend", "tar", "--exclude=.before-*", "--exclude=.after-*", "-czf", f"/tmp/{name}", "/app/media")
        stack.compose("cp", f"backend:/tmp/{name}", "./backups/")
        stack.exec("backend", "rm", f"/tmp/{name}")
    else:  # whose root is data
        (volume,) = docker("volume", "ls", "--quiet", "--filter", f"name={stack.project}_media_volume")
        image = docker("inspect", "--format", "{{.Config.Image}}", stack.compose("ps", "-q", "backend").stdout.strip())
        shared = ("--volume", f"{volume}:/data", "--volume", f"{stack.root}/backups:/backup")
        tar = ("tar", "--exclude=.before-*", "--exclude=.after-*", "-czf", f"/backup/{name}", "/data")
        docker("run", "--rm", "--user", "0", "--entrypoint", tar[0], *shared, *image, *tar[1:])
    typed(stack, "tar", "-tzf", f"backups/{name}")
    stack.exec("backend", "sh", "-c", "rm -rf /app/media/copies* && echo intruder > /app/media/intruder.pdf")
    assert files(stack) != tree
    printed = korrigo(stack, "restore", f"backups/{name}", "--yes", "--allow-unsigned")
    assert files(stack) == tree, printed
    assert stack.healthy()
    korrigo(stack, "rollback", "--media-only", "--yes")
    assert "intruder.pdf" in files(stack)
    korrigo(stack, "rollback", "--to", "after", "--media-only", "--yes")
    assert files(stack) == tree


@as_root
@pytest.mark.contract("R1")
@pytest.mark.contract("R6")
@pytest.mark.contract("R7")
def test_5_3_5_6_and_5_7_restore_validate_and_go_back_either_way(stack):
    typed(stack, "./scripts/backup_db.sh")
    made, saved = newest(stack, "db_backup_2*.sql.gz"), rows(stack)
    stack.sql("UPDATE exams_exam SET name = 'lost'")
    lost = rows(stack)
    printed = typed(stack, "./scripts/restore_db.sh", relative(stack, made), given="yes\n")
    for line in (
        "🔍 Verifying backup integrity...",
        "🛑 Stopping",
        "🔌 Terminating",
        "🚀 Starting",
        "✅ Restore completed",
    ):
        assert line in printed
    assert rows(stack) == saved
    typed(stack, "./scripts/validate_restore.sh")
    safety = newest(stack, "pre_restore_safety_backup_*.sql.gz")
    typed(stack, "./scripts/restore_db.sh", relative(stack, safety), given="yes\n")
    assert rows(stack) == lost
    automatic = newest(stack, "db_backup_2*.sql.gz")
    assert automatic == made
    typed(stack, "./scripts/restore_db.sh", "backups/db_backup_latest.sql.gz", given="yes\n")
    assert rows(stack) == saved
    korrigo(stack, "rollback", "--yes")
    assert rows(stack) == lost
    korrigo(stack, "rollback", "--to", "automatic", "--yes")
    assert rows(stack) == saved
    assert stack.healthy()


@as_root
@pytest.mark.contract("R7")
def test_5_7_the_emergency_rebuild_from_nothing(make_stack):
    stack = make_stack(copies=4)
    assert stack.project.startswith(PREFIX)
    korrigo(stack, "backup", "full")
    saved, tree = rows(stack), files(stack)
    stack.compose("down", "--volumes")
    stack.up()
    assert rows(stack) != saved
    korrigo(stack, "restore", "latest-point", "--yes")
    assert (rows(stack), files(stack)) == (saved, tree)
    assert stack.healthy()


def killed_on_staging(stack, staging):
    """Kill a drill while it loads; the next starts the services and leaves what was there before."""
    names = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database"
    before = staging.sql(names, "postgres")
    with started(stack, "drill", "--place", "staging") as killed:
        next(line for line in killed.stdout if "Loading" in line)
        killed.kill()
        killed.wait(30)
    assert staging.states()["backend"].startswith("exited")
    if (left := staging.sql(names, "postgres")) != before:
        (name,) = set(left.split()) - set(before.split())
        assert name in korrigo(stack, "doctor", code=(0, 10))
    korrigo(stack, "drill", "--place", "staging")
    assert staging.states()["backend"].startswith("running")
    assert staging.sql(names, "postgres") == before


@as_root
@pytest.mark.contract("D1", "D2", "D5", "D6", "D7", "D9")
def test_6_the_tests_of_backup_and_restore(stack):
    state = {"KORRIGO_STATE_DIR": str(stack.root / "state")}
    assert "✅ BACKUP TEST PASSED" in typed(stack, "./scripts/test_backup.sh")  # 6.2
    stack.compose("stop", "celery", "celery-beat")  # they write rows between a backup and a comparison
    korrigo(stack, "backup", "full")
    staging, toml = stack.sibling("dev"), stack.root / "korrigo-backup.toml"
    shutil.copytree(PROJECT / "demo", stack.root / "demo", dirs_exist_ok=True)  # the code of the development stack
    try:  # 6.3: the development stack is the staging server
        staging.up("db", "backend")
        toml.write_text(f'[staging]\nfiles = ["{staging.files[0]}"]\n')
        output = typed(stack, "./scripts/test_restore_staging.sh")
        lines = ("Stopping staging services: backend", "Loading", "Restarting staging services: backend", "PASSED")
        assert sorted(lines, key=output.index) == list(lines)
        assert staging.states()["backend"].startswith("running")
        killed_on_staging(stack, staging)
        exams = "SELECT count(*) FROM exams_exam"
        assert staging.sql(exams, "viatique_staging") == stack.sql(exams)
    finally:
        toml.unlink(missing_ok=True)
        staging.compose("down", "--volumes")
    report = korrigo(stack, "report", "drill", "--lang", "fr")  # 6.4: the disaster itself is in test_private_project.py
    assert re.search(r"^## Résumé$", report, re.MULTILINE)
    assert re.search(r"^## Recommandations$", report, re.MULTILINE)
    # 6.5: the state and the checksums, saved before a loss, and compared with the loss and with the restore
    for script in ("./scripts/compare_db_state.sh", "./scripts/verify_media_integrity.sh"):
        typed(stack, script, "before", env=state)
    lose(stack)
    assert "exams_annotation" in typed(stack, "./scripts/compare_db_state.sh", "after", env=state, code=9)
    assert "intruder.pdf" in typed(stack, "./scripts/verify_media_integrity.sh", "after", env=state, code=9)
    korrigo(stack, "restore", "latest-point", "--yes")
    for script in ("./scripts/compare_db_state.sh", "./scripts/verify_media_integrity.sh"):
        typed(stack, script, "after", env=state)
    printed = typed(stack, "./scripts/benchmark_backup_restore.sh")  # 6.6
    assert re.search(r"Backup duration: \d+\.\d+s", printed)
    assert re.search(r"Throughput restore: \d+\.\d+ MB/s", printed)
    assert "runbook 6.7" in korrigo(stack, "checklist", "release", code=(0, 10))
    stack.up()


def test_9_1_the_quick_reference(stack):
    typed(stack, "./scripts/backup_db.sh")
    made = newest(stack, "db_backup_2*.sql.gz")
    assert made.name in typed(stack, "sh", "-c", "ls -lht backups/ | head -10")
    typed(stack, "gzip", "-t", relative(stack, made))
    typed(stack, "find", "backups/", "-name", "*.sql.gz", "-mtime", "+30", "-delete")
    assert made.exists()
    assert made.name in korrigo(stack, "list")
    typed(stack, "./scripts/restore_db.sh", relative(stack, made), given="yes\n")
    typed(stack, "./scripts/validate_restore.sh")
