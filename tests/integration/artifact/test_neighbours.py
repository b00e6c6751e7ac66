"""Sites that share a server or a backup directory: nothing of a neighbour is restored, changed or removed."""

import json
import shutil

import pytest

from korrigo_backup.artifact.naming import stage_database
from sandbox import drop_database, nothing_changes, quoted

STAMP = "20260204_030000"


@pytest.mark.promise("P10")
def test_a_backup_leaves_the_staged_database_of_a_site_whose_name_begins_alike(make_site):
    shop, blog = make_site(name="s" * 45 + "_shop"), make_site(name="s" * 45 + "_blog")
    theirs, left = stage_database(blog.database, STAMP), stage_database(shop.database, STAMP)
    for name in (theirs, left):
        shop.sql(f"CREATE DATABASE {quoted(name)}")
    done = shop.korrigo("backup", "db")
    assert theirs in shop.databases()
    assert left not in shop.databases(), done.output


def test_what_an_earlier_version_has_kept_of_a_long_name_is_found_by_rollback(make_site):
    site = make_site(name="s" * 50)
    former = "s" * 40 + f"_before_{STAMP}"
    site.sql(f"CREATE DATABASE {quoted(former)} TEMPLATE {quoted(site.database)}", "postgres")
    before = site.rows()
    site.wreck()
    site.korrigo("rollback", "--yes")
    assert site.rows() == before


def share(one, other):
    """Let two sites of the default name use one backup directory, as two .env files with one BACKUP_DIR do."""
    other.backups = one.backups
    other.home = one.home  # one user, one key
    return one, other


@pytest.mark.promise("P10")
def test_of_two_sites_of_one_name_in_one_directory_each_restores_and_prunes_its_own(make_site):
    shop, blog = share(make_site(), make_site())
    ours, theirs = shop.backup(), blog.backup()
    wanted = shop.content()
    assert shop.wired().catalog.find("latest").name == ours.name
    assert blog.wired().catalog.find("latest").name == theirs.name
    assert [one["name"] for one in shop.json("list")["items"] if not one["ours"]] == [theirs.name]
    assert shop.json("status")["others"] == 1
    with nothing_changes(shop):
        refused = shop.korrigo("restore", theirs.name, "--yes", code=4)
    assert f"a backup of database {blog.database}" in refused.err
    shop.wreck()
    shop.korrigo("restore", "latest", "--yes", "--no-safety-backup")
    assert shop.content() == wanted
    plan = {one["name"]: one for one in shop.json("prune")["artifacts"]}
    assert blog.database in plan[theirs.name]["reason"]
    assert not plan[theirs.name]["remove"]


@pytest.mark.promise("P10")
def test_the_link_of_the_first_site_of_a_directory_is_not_taken_by_another(make_site):
    shop, blog = share(make_site(), make_site())
    ours = shop.backup()
    blog.backup()
    assert (shop.backups / "db_backup_latest.sql.gz").readlink().name == ours.name


@pytest.mark.promise("P10")
def test_a_site_that_is_configured_alike_on_another_cluster_may_not_write_there(site):
    site.backup()
    elsewhere(site)
    with nothing_changes(site):
        refused = site.korrigo("backup", "db", code=4)
        site.korrigo("nightly", code=4)
        site.korrigo("prune", "--apply", code=4)
        restore = site.korrigo("restore", "latest", "--yes", code=4)
    assert "made of another database cluster" in refused.err
    assert "korrigo-backup adopt" in refused.err
    assert "korrigo-backup adopt" in restore.err


def test_after_a_change_of_server_the_site_is_adopted_by_one_command(site):
    made = site.backup()
    elsewhere(site)
    assert site.korrigo("adopt", stdin="no\n", code=5)
    site.korrigo("adopt", "--yes")
    site.korrigo("backup", "db")
    assert "No adoption is needed" in site.korrigo("adopt", "--yes").out
    plan = {one["name"]: one["reason"] for one in site.json("prune")["artifacts"]}
    assert "another site" not in plan[made.name]
    site.korrigo("restore", made.name, "--yes", "--no-safety-backup")


def test_a_lost_server_is_restored_into_a_new_cluster_without_a_question(site):
    site.backup()
    wanted = site.content()
    elsewhere(site)
    site.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public", superuser=True)
    site.sql(f"ALTER SCHEMA public OWNER TO {site.user}", superuser=True)
    done = site.korrigo("restore", "latest", "--yes", "--no-validate")
    assert "holds no more than the backup, and takes its place" in done.out
    assert site.rows() == wanted[1]
    site.korrigo("backup", "db")
    assert len({one["ours"] for one in site.json("list")["items"]}) == 1


def migrated(site):
    """Leave in the database what the entry point of a site makes in a new one: all tables, and the rows of migrate."""
    site.sql(
        "CREATE TABLE django_migrations (id int, app text, name text, applied timestamptz);"
        " INSERT INTO django_migrations VALUES (1, 'exams', '0001_initial', now());"
        " CREATE TABLE auth_permission (id int, codename text); INSERT INTO auth_permission VALUES (1, 'add_exam')"
    )
    for table in site.rows():
        if table.rpartition(".")[2] not in {"django_migrations", "auth_permission"}:
            site.sql(f"TRUNCATE {table} CASCADE")
    site.sql("SELECT lo_unlink(oid) FROM pg_largeobject_metadata", superuser=True)


@pytest.mark.contract("R7")
def test_a_new_server_on_which_only_migrate_has_run_is_restored_without_a_question(site):
    """The emergency rebuild of the runbook: `down -v`, `up`, and the entry point migrates."""
    site.backup()
    wanted = site.content()
    elsewhere(site)
    migrated(site)
    done = site.korrigo("restore", "latest", "--yes", "--no-validate")
    assert "holds no more than the backup, and takes its place" in done.out
    assert site.rows() == wanted[1]


@pytest.mark.contract("R7")
def test_rows_of_data_migrations_that_the_backup_holds_too_are_no_use(site):
    site.sql("CREATE TABLE groups (id int PRIMARY KEY, name text); INSERT INTO groups VALUES (1, 'Teachers'), (7, 'x')")
    site.backup()
    wanted = site.content()
    elsewhere(site)
    migrated(site)
    site.sql("INSERT INTO groups VALUES (1, 'Teachers')")
    site.korrigo("restore", "latest", "--yes", "--no-validate")
    assert site.rows() == wanted[1]


@pytest.mark.promise("P10")
@pytest.mark.parametrize("row", ["(1, 'Heads')", "(2, 'Teachers')"], ids=["changed", "new"])
def test_a_row_that_the_backup_does_not_hold_is_use(site, row):
    site.sql("CREATE TABLE groups (id int PRIMARY KEY, name text); INSERT INTO groups VALUES (1, 'Teachers')")
    site.backup()
    elsewhere(site)
    migrated(site)
    site.sql(f"INSERT INTO groups VALUES {row}")
    with nothing_changes(site):
        refused = site.korrigo("restore", "latest", "--yes", code=4)
    assert "korrigo-backup adopt" in refused.err


@pytest.mark.promise("P10")
@pytest.mark.parametrize(
    "use",
    ["CREATE TABLE later (id int); INSERT INTO later VALUES (1)", "SELECT lo_create(0)"],
    ids=["row", "large-object"],
)
def test_a_new_server_with_any_other_content_is_not_taken_for_an_unused_one(site, use):
    site.backup()
    elsewhere(site)
    migrated(site)
    site.sql(use)
    with nothing_changes(site):
        refused = site.korrigo("restore", "latest", "--yes", code=4)
    assert "korrigo-backup adopt" in refused.err


@pytest.mark.promise("P10")
def test_media_of_a_lost_site_do_not_replace_those_of_another(make_site):
    blog, shop = make_site(), make_site(schema="")
    made = blog.backup_media()
    share(blog, shop)
    elsewhere(blog)
    shop.write("orders/invoice.pdf", b"paid")
    with nothing_changes(shop):
        refused = shop.korrigo("restore", made, "--yes", code=4)
    assert "--into-other-site" in refused.err


def test_media_of_a_lost_site_come_back_where_there_are_none(site):
    made = site.backup_media()
    wanted = site.tree()
    elsewhere(site)
    site.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public", superuser=True)
    shutil.rmtree(site.media)
    site.korrigo("restore", made, "--yes", "--no-validate")
    assert site.tree() == wanted


@pytest.mark.promise("P10")
def test_a_dump_of_an_earlier_version_and_another_database_is_no_backup_of_this_site(make_site):
    blog, shop = make_site(), make_site()
    made = blog.backup()
    of_an_earlier_version(blog, made)
    for record in blog.backups.glob(".site-*"):
        record.unlink()
    drop_database(blog.server, blog.database)
    share(blog, shop)
    with nothing_changes(shop):
        refused = shop.korrigo("restore", made, "--yes", code=4)
    assert f"a backup of database {blog.database}" in refused.err


@pytest.mark.promise("P10")
def test_a_table_that_the_role_may_not_read_is_not_taken_for_an_empty_one(site):
    site.backup()
    elsewhere(site)
    migrated(site)
    site.sql("CREATE TABLE theirs (id int); INSERT INTO theirs VALUES (1)", superuser=True)
    refused = site.korrigo("restore", "latest", "--yes", code=4)
    assert "korrigo-backup adopt" in refused.err


def test_a_renamed_database_goes_on_with_its_backups_when_it_is_adopted(make_site):
    before, after = share(make_site(), make_site())
    made = before.backup()
    after.korrigo("adopt", "--yes")
    assert after.wired().catalog.find("latest").name == made.name


def test_the_first_backup_of_a_renamed_database_warns_and_adopt_names_the_former_one(make_site):
    before, after = share(make_site(), make_site())
    made = before.backup()
    assert "adopt --database" not in after.korrigo("backup", "db").output, "the other database is there: a neighbour"
    third = share(before, make_site())[1]
    before.sql(f"DROP DATABASE {quoted(before.database)} (FORCE)", "postgres")
    command = f"korrigo-backup adopt --database {before.database}"
    assert command in third.korrigo("backup", "db").output
    assert command not in third.korrigo("backup", "db").output, "it is warned once"
    assert command in third.korrigo("adopt").out
    third.korrigo("adopt", "--database", before.database, "--yes")
    assert made.name in {one["name"] for one in third.json("list")["items"] if one["ours"]}


def test_backups_that_another_key_has_signed_are_not_said_to_be_missing(make_site):
    before, after = share(make_site(), make_site())
    before.backup()
    other = {"KORRIGO_BACKUP_KEY_FILE": str(after.backups.parent / "other.key")}
    for _ in ("no key at all", "a key of its own"):
        refused = after.korrigo("adopt", "--database", before.database, "--yes", env=other, code=4)
        assert "are signed with the key" in refused.err
        assert "adopt --new-key" in refused.err
        after.korrigo("backup", "db", env=other | {"BACKUP_DIR": str(after.home / "elsewhere")})


@pytest.mark.promise("P10")
def test_what_a_backup_lists_and_links_is_of_its_own_site(make_site):
    shop, blog = share(make_site(), make_site())
    ours = shop.backup()
    link = shop.backups / "db_backup_latest.sql.gz"
    listed = blog.korrigo("backup", "db").out.partition("Available backups:")[2]
    assert ours.name not in listed
    assert len(listed.split()) > 5
    link.unlink()
    third = share(shop, make_site())[1]
    third.wired().catalog.relink()
    assert not link.is_symlink()


def test_of_three_sites_the_one_to_adopt_must_be_named(make_site):
    one, two = share(make_site(), make_site())
    share(one, three := make_site())
    one.backup()
    two.backup()
    refused = three.korrigo("adopt", "--yes", code=4)
    assert one.database in refused.err
    assert f"korrigo-backup adopt --database {one.database}" in refused.err
    three.korrigo("adopt", "--database", one.database, "--yes")


@pytest.mark.promise("P10")
def test_production_and_staging_of_one_database_name_each_have_their_own(site):
    """Of one name, in one directory: the environment tells them apart."""
    staging = {"KORRIGO_BACKUP_ENVIRONMENT": "staging"}
    site.korrigo("backup", "db", env=staging)
    (theirs,) = (one["name"] for one in site.json("list")["items"])
    site.korrigo("backup", "db")
    assert site.wired().catalog.find("latest").name != theirs
    assert f"✅ Backup validation passed: {site.backups / theirs}" in site.korrigo("verify", env=staging).out


def test_a_copied_directory_without_its_hidden_files_is_the_sites_own(site):
    made = site.backup()
    site.sql("CREATE TABLE later (id int)")
    for hidden in site.backups.glob(".*"):
        hidden.unlink()
    assert site.wired().catalog.find("latest").name == made.name
    site.korrigo("restore", "latest", "--yes", "--no-safety-backup")


def test_a_manifest_of_an_earlier_version_has_no_identity_and_is_the_sites_own(site):
    made = site.backup()
    of_an_earlier_version(site, made)
    for record in site.backups.glob(".site-*"):
        record.unlink()
    site.korrigo("restore", "latest", "--yes", "--no-safety-backup")
    site.korrigo("backup", "db")


@pytest.mark.promise("P10")
def test_an_older_dump_of_another_database_is_not_latest(make_site):
    shop, blog = share(make_site(), make_site())
    theirs = blog.backup()
    of_an_earlier_version(shop, theirs)
    with nothing_changes(shop):
        shop.korrigo("restore", theirs.name, "--yes", code=4)
    ours = shop.backup()
    assert shop.wired().catalog.find("latest").name == ours.name


def of_an_earlier_version(site, made):
    """Take the identity out of a manifest: earlier versions wrote none."""
    place = made.with_name(made.name + ".manifest.json")
    raw = json.loads(place.read_text())
    del raw["identity"]
    place.write_text(json.dumps(raw))
    site.seal(place)


def elsewhere(site):
    """Make what is signed there be of another cluster, as after the loss of a server: one cannot have two identifiers."""
    lost = "00000000-0000-4000-8000-000000000001"
    for place in [*site.backups.glob("*.manifest.json"), *site.backups.glob(".site-*")]:
        raw = json.loads(place.read_text())
        if "identity" in raw:
            raw["identity"] |= {"id": lost, "system": "1"}
        else:
            raw["id"] = lost
            raw["places"] = [{**one, "system": "1"} for one in raw["places"]]
        place.write_text(json.dumps(raw))
        site.seal(place)
        if place.name.startswith(".site-"):
            place.rename(place.with_name(f".site-{lost}.json"))
