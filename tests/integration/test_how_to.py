"""The commands of the how-to pages, typed on a real site."""

import re
from pathlib import Path

import pytest
import yaml

from docs.console import Typed, run
from docs.operators import Operator
from docs.test_documents import PROJECT, text
from docs.test_reference import commands as verbs
from korrigo_backup.postgres.throwaway import ThrowawayServer, embedded_bindir
from sandbox import USER, USER_PASSWORD, connect

PAGES = PROJECT / "docs" / "how-to"


@pytest.fixture
def operator(make_site):
    """The operator of a site whose names are those of the pages."""
    return Operator.of(make_site(name="viatique"))


def test_one_table_one_object_and_one_file_come_back(demo):
    (demo.home / "manage.py").symlink_to(PROJECT / "demo" / "manage.py")
    demo.sql(
        "INSERT INTO exams_student (id, first_name, last_name, email, birth_date, class_name)"
        " VALUES (1000, 'Ada', 'L', 'ada@example.com', '2008-12-10', 'T1')"
    )
    demo.korrigo("backup", "full")
    lost = min(path for path in demo.media.rglob("*.pdf"))
    before, content = demo.rows(), lost.read_bytes()
    lost.unlink()
    demo.sql("DELETE FROM exams_student WHERE id = 1000; UPDATE exams_student SET first_name = 'lost' WHERE id = 2")
    them = Operator.of(demo)
    them.env["LOST"] = str(lost.relative_to(demo.media))
    compare = "korrigo-backup compare latest-point --table exams_student --rows 20"
    media = "korrigo-backup compare latest-point --media"
    archive = demo.one("media_backup_*.tar.gz").name
    words = {
        "viatique": demo.database,
        "media_backup_20260204_030000.tar.gz": archive,
        compare: f"! {compare}",
        media: f"! {media}",
    }  # `!`: they end with 9
    them.follow(PAGES / "one-table.md", words)
    assert demo.rows() == before
    assert lost.read_bytes() == content


def test_a_loss_is_found_with_its_time_and_its_history(demo):
    (demo.home / "manage.py").symlink_to(PROJECT / "demo" / "manage.py")
    demo.korrigo("backup", "full")
    exam = demo.sql("SELECT id::text FROM exams_exam ORDER BY id")[0][0]
    saved = demo.sql(f"SELECT coefficient FROM exams_exam WHERE id = '{exam}'")[0][0]
    damage = f"UPDATE exams_exam SET coefficient = coefficient + 1 WHERE id = '{exam}'"
    demo.sql(damage)
    file = min(path for path in demo.media.rglob("*.pdf"))
    file.unlink()
    path = str(file.relative_to(demo.media))
    them, page, middle = Operator.of(demo), PAGES / "rescue.md", "An `UPDATE` without"
    words = {"exams.Exam:12": f"exams.Exam:{exam}", "copies/2026/scan.pdf": path}
    them.follow(page, words | {'--at "2026-05-04 14:00"': "--from latest"}, until=middle)
    coefficient = f"SELECT coefficient FROM exams_exam WHERE id = '{exam}'"
    assert demo.sql(coefficient) == [(saved,)]
    demo.sql(damage)
    rest = {"exams_exam 2026-05-04": "exams_exam latest", "copies/2026/*": f"{Path(path).parent}/*"}
    them.follow(page, {"copies/2026/scan.pdf": path} | rest, after=middle)
    assert demo.sql(coefficient) == [(saved,)]
    assert file.exists()


def test_postgresql_is_upgraded_by_a_backup_and_a_restore(operator, tmp_path):
    site = operator.site
    embedded = embedded_bindir()
    with ThrowawayServer(embedded) as newer:
        versions = []
        for one in (site.server, newer):
            with connect(one) as connection:
                versions.append(connection.info.server_version // 10000)
        if versions[0] >= versions[1]:
            pytest.skip(f"PostgreSQL {versions[0]} is not older than the embedded {versions[1]}")
        saved = site.rows()
        operator.env |= {"KORRIGO_BACKUP_CLIENT_DIR": str(embedded)}
        operator.follow(PAGES / "postgresql-upgrade.md", {}, until="3. Start the new server")
        access = newer.access()
        operator.env |= {"PGUSER": access.user, "PGPASSWORD": newer.password.reveal()}
        words = {"--port=5433": f"--host={access.host}", "'…'": f"'{USER_PASSWORD}'"}
        operator.follow(
            PAGES / "postgresql-upgrade.md", words, after="3. Start the new server", until="4. Point the site"
        )
        operator.reach(access)
        operator.follow(PAGES / "postgresql-upgrade.md", {}, after="4. Point the site")
        site.server = newer
        assert site.rows() == saved


def test_a_site_moves_to_another_server(operator, make_site):
    old = operator.site
    saved, tree = old.rows(), old.tree()
    new = make_site(schema="")
    arrive = Operator.of(new)
    (old.home / "bin").mkdir()
    operator.follow(
        PAGES / "move.md", {"new-server:/srv/korrigo/backups/": f"{new.backups}/"}, until="## On the new server"
    )
    key = new.home / ".config" / "korrigo-backup"
    key.mkdir(parents=True, mode=0o700)
    (key / "key").write_bytes((old.home / ".config" / "korrigo-backup" / "key").read_bytes())
    (key / "key").chmod(0o600)
    with connect(old.server) as connection:  # the new server has an empty database of the same name
        connection.execute("ALTER DATABASE viatique RENAME TO viatique_of_the_old_server")
        connection.execute(f"ALTER DATABASE {new.database} RENAME TO viatique")
    for path in new.media.rglob("*"):
        if path.is_file():
            path.unlink()
    new.database = "viatique"
    arrive.env |= {"POSTGRES_DB": "viatique"}
    arrive.follow(PAGES / "move.md", {}, after="## On the new server", until="## Only to look")
    assert (new.rows(), new.tree()) == (saved, tree)


def test_copies_are_encrypted_and_the_key_opens_them(operator, other_disk):
    home = operator.site.home
    (home / "stick").mkdir(mode=0o700)
    operator.site.korrigo("backup")
    operator.follow(PAGES / "encrypt.md", {}, until="## Copy, and see")
    (public,) = re.findall(r"age1\w+", (home / "stick" / "korrigo-backup.key").read_text())
    target = f'[targets.disk]\nurl = "file://{other_disk}"\noff_site = true'
    (home / "korrigo-backup.toml").write_text(f'[kit]\nrecipients = ["{public}"]\n{target}\n')
    operator.follow(PAGES / "encrypt.md", {"mnt": str(other_disk)}, after="## Copy, and see")


def test_a_site_goes_on_after_the_loss_of_its_signing_key(operator):
    site = operator.site
    saved = site.rows()
    made = site.backup()
    (site.home / ".config" / "korrigo-backup" / "key").unlink()
    site.wreck()
    (site.home / "stick").mkdir(mode=0o700)
    words = {"find /": "find .", "db_backup_20260204_030000.sql.gz": made.name}
    operator.follow(PAGES / "lost-key.md", words, until="## The private key")
    assert site.rows() == saved
    operator.follow(PAGES / "lost-key.md", {}, after="## The private key")
    assert "AGE-SECRET-KEY-" in (site.home / "stick" / "new.key").read_text()


def test_backups_that_grow_too_large_are_thinned(operator):
    operator.site.korrigo("backup", "full")
    operator.follow(PAGES / "too-large.md", {}, until="## The media in the store")
    (operator.site.home / "korrigo-backup.toml").write_text("[media]\nstore = true\n")
    operator.follow(PAGES / "too-large.md", {}, after="## The media in the store")
    assert (operator.site.backups / "media-store").is_dir()


def test_a_site_is_backed_up_and_restored_without_root_and_without_createdb(operator):
    with connect(operator.site.server) as connection:
        connection.execute(f"ALTER ROLE {USER} NOCREATEDB")
        try:
            saved = operator.site.rows()
            operator.settle()
            operator.follow(PAGES / "without-root.md", {"korrigo-backup doctor": "! korrigo-backup doctor"})
            assert operator.site.rows() == saved
        finally:
            connection.execute(f"ALTER ROLE {USER} CREATEDB")
    assert "korrigo-backup" in (operator.site.home / "crontab").read_text()


def test_after_uninstalling_everything_is_where_the_page_says(operator):
    operator.site.korrigo("backup", "full")
    operator.settle()
    run([Typed("korrigo-backup schedule install --cron", ())], cwd=operator.site.home, env=operator.env)
    operator.follow(PAGES / "uninstall.md", {"korrigo-backup status": "korrigo-backup status || true"})
    assert "korrigo-backup" not in (operator.site.home / "crontab").read_text()
    for place in (operator.site.backups, operator.site.home / ".config" / "korrigo-backup" / "key"):
        assert place.exists()


def test_the_cron_job_of_kubernetes_calls_commands_and_variables_that_exist():
    (manifest,) = re.findall(r"```yaml\n(.*?)```", text(PAGES / "kubernetes.md"), re.DOTALL)
    job = yaml.safe_load(manifest)
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    verb, *options = container["args"]
    known = {option for parameter in verbs()[verb].params for option in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= known
    reference = text(PROJECT / "docs" / "reference" / "configuration.md")
    assert [one["name"] for one in container["env"] if f"`{one['name']}`" not in reference] == ["TZ"]
    mounted = {one["name"] for one in container["volumeMounts"]}
    assert mounted == {one["name"] for one in job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]}
