"""Values that Django's classes would change come back to the bit, and what a backup does not hold is named."""

import json

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError
from django.db import connections

from korrigo_backup.core.finding import Level
from korrigo_backup.djangoapp.fixture.migration_state import CodeMigrations
from korrigo_backup.djangoapp.load import load as loader
from korrigo_backup.verify import django_artifact as artifact
from testsite import models as m

pytestmark = pytest.mark.parametrize("alias", ["default"], indirect=True)


def sql(*statements):
    with connections["default"].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def manifest(made):
    return json.loads((made.path / "manifest.json").read_text())["django"]


def lines(made, model):
    text = next(made.path.glob("db_*.json")).read_text()
    return [one for one in json.loads(text) if one["model"] == model]


@pytest.fixture
def odd_types(alias):
    """Give columns of the models types that no class of Django knows, each with a value that is hard to hold."""
    sql(
        "CREATE TYPE mood AS ENUM ('glad', 'it''s odd')",
        "CREATE TYPE pair AS (a numeric, b text)",
        "CREATE DOMAIN span_of AS numrange",
        "ALTER TABLE testsite_profile ALTER bio TYPE mood USING 'it''s odd'",
        "ALTER TABLE testsite_club ALTER name TYPE pair USING row(1.50, NULL)::pair",
        "ALTER TABLE testsite_namedtype ALTER nickname TYPE bit(5) USING B'10110'",
        "ALTER TABLE testsite_typesettings ALTER colour TYPE money USING 1234.5::money",
        "ALTER TABLE testsite_note ALTER text TYPE xml USING '<a>é</a>'::xml",
        "ALTER TABLE testsite_custom ALTER word TYPE tsvector USING '''a'':3A'::tsvector",
        "ALTER TABLE testsite_child ALTER age TYPE span_of USING '(,1.50]'",
        """ALTER TABLE testsite_noobjects ALTER "Order" TYPE numeric USING 'NaN'""",
        "UPDATE testsite_onlypostgres SET during = '[2026-01-01,infinity)', numbers = '[0:1]={1,2}'",
        "UPDATE testsite_lists SET moments = '{infinity,-infinity}', spans = '{1 mon -3 days}' WHERE id = 1",
        "INSERT INTO testsite_club (name) VALUES (row(NULL, NULL)::pair)",
    )


@pytest.mark.promise("P9")
def test_values_of_types_that_django_does_not_know_come_back_as_they_were(site, odd_types):
    rows = site.rows()
    made = site.backup(include_media=False)
    site.clear()
    site.restore(made.path)
    assert site.rows() == rows


def test_the_manifest_names_the_columns_that_are_held_as_text(site, odd_types):
    named = manifest(site.backup(include_media=False))["text_columns"]
    assert named["testsite.profile"] == {"bio": "mood"}
    assert named["testsite.lists"]["moments"] == "timestamp with time zone[]"
    assert "auth.user" not in named


@pytest.mark.promise("P7")
def test_a_backup_holds_the_stored_value_and_not_the_value_that_a_field_returns(site):
    (line,) = lines(site.backup(include_media=False), "testsite.custom")
    assert line["fields"]["word"] == "HELLO"


def test_settings_of_the_role_do_not_change_the_text_of_values(site, odd_types):
    sql("ALTER ROLE CURRENT_USER SET bytea_output = 'escape'", "ALTER ROLE CURRENT_USER SET intervalstyle = 'iso_8601'")
    connections["default"].close()
    try:
        made = site.backup(include_media=False)
    finally:
        sql("ALTER ROLE CURRENT_USER RESET ALL")
        connections["default"].close()
    rows = site.rows()
    site.clear()
    site.restore(made.path)
    assert site.rows() == rows


@pytest.mark.promise("P9")
def test_a_row_that_no_restore_could_read_is_found_when_the_backup_is_made(site):
    sql("UPDATE testsite_everything SET data = (repeat('[', 5000) || repeat(']', 5000))::jsonb")
    with pytest.raises(CommandError, match="a restore could not read this backup") as caught:
        site.backup(include_media=False)
    assert caught.value.returncode == 9
    assert list(site.out.iterdir()) == []


@pytest.mark.promise("P11")
def test_what_a_backup_does_not_hold_is_named_by_manifest_and_verify(site):
    sql("CREATE TABLE old_app (id int)", "SELECT lo_create(0)")
    made = site.backup(include_media=False)
    kinds = {one["kind"] for one in manifest(made)["left_out"]}
    assert {"table", "large-object", "database"} <= kinds
    found = {one.id: one for one in artifact.verify(made.path)[1]}
    assert "public.old_app" in found["django.left-out.table"].message
    assert found["django.left-out.database"].level is Level.WARNING


@pytest.mark.promise("P11")
def test_tables_of_the_site_in_other_schemas_refuse_a_backup_unless_they_are_accepted(site, monkeypatch):
    sql("CREATE SCHEMA tenant", "CREATE TABLE tenant.testsite_base (LIKE testsite_base)")
    with pytest.raises(CommandError, match="tenant \\(1 tables\\)") as caught:
        site.backup(include_media=False)
    assert caught.value.returncode == 4
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_ACCEPT", ["schemas"], raising=False)
    made = site.backup(include_media=False)
    assert [one["name"] for one in manifest(made)["left_out"] if one["kind"] == "schema"] == ["tenant"]


@pytest.mark.promise("P10")
def test_rows_of_a_table_without_a_model_that_refer_to_restored_rows_stay(site):
    sql(
        "CREATE TABLE note_of (id int, base bigint CONSTRAINT to_base REFERENCES testsite_base ON DELETE CASCADE)",
        "INSERT INTO note_of SELECT 1, min(id) FROM testsite_base",
        "COMMENT ON CONSTRAINT to_base ON note_of IS 'kept'",
    )
    made = site.backup(include_media=False)
    site.restore(made.path)
    assert sql("SELECT count(*) FROM note_of") == [(1,)]
    assert sql("SELECT obj_description(oid) FROM pg_constraint WHERE conname = 'to_base'") == [("kept",)]


def test_a_row_of_a_table_without_a_model_whose_target_is_not_in_the_backup_refuses_the_restore(site, refused):
    made = site.backup(include_media=False)
    sql("INSERT INTO testsite_base (id, name) VALUES (4711, 'later')")
    sql("CREATE TABLE note_of (base bigint REFERENCES testsite_base ON DELETE CASCADE)")
    sql("INSERT INTO note_of VALUES (4711)")
    assert "4711" in refused(made.path).text


@pytest.mark.contract("T8")
def test_sequences_of_no_column_and_sequences_that_were_only_set_go_on_where_they_stood(site):
    sql("CREATE SEQUENCE invoice_no", "SELECT setval('invoice_no', 41)")
    sql("ALTER SEQUENCE testsite_loose_id_seq RESTART WITH 900")
    made = site.backup(include_media=False)
    sql("DROP SEQUENCE invoice_no", "CREATE SEQUENCE invoice_no")
    sql("ALTER SEQUENCE testsite_loose_id_seq RESTART WITH 1")
    site.restore(made.path)
    assert sql("SELECT nextval('invoice_no'), nextval('testsite_loose_id_seq')") == [(42, 900)]


@pytest.mark.contract("T8")
def test_descending_and_negative_sequences_continue_at_their_saved_position(site):
    sql(
        "CREATE SEQUENCE down INCREMENT -5 MAXVALUE 100 START 100", "SELECT nextval('down'), setval('down', -20)",
        "CREATE SEQUENCE not_called INCREMENT -1", "SELECT setval('not_called', -8, false)",
        "CREATE SEQUENCE below MINVALUE -90 MAXVALUE -1 START -90", "SELECT setval('below', -40)",
        "CREATE SEQUENCE fresh MINVALUE -90 MAXVALUE -1 START -90",
        "CREATE SEQUENCE further INCREMENT -1", "SELECT setval('further', -3)",
        "DELETE FROM testsite_loose",
        "ALTER SEQUENCE testsite_loose_id_seq INCREMENT -1 MINVALUE -99999 MAXVALUE -1 START -1 RESTART WITH -7",
        "INSERT INTO testsite_loose (id, user_id) VALUES (-50, 1)",
    )  # fmt: skip
    made = site.backup(include_media=False)
    sql(
        "ALTER SEQUENCE down RESTART", "ALTER SEQUENCE not_called RESTART", "ALTER SEQUENCE below RESTART",
        "SELECT setval('further', -9)",
    )  # fmt: skip
    site.restore(made.path)
    assert sql("SELECT nextval('down'), nextval('not_called'), nextval('below')") == [(-25, -8, -39)]
    assert sql("SELECT nextval('fresh'), nextval('further')") == [(-90, -10)]  # never back
    assert sql("SELECT nextval('testsite_loose_id_seq')") == [(-51,)]


def test_permissions_that_the_site_made_or_renamed_come_back_with_their_names(site):
    note = ContentType.objects.get(app_label="testsite", model="note")
    Permission.objects.create(content_type=note, codename="sign_note", name="Signer une note")
    Permission.objects.filter(codename="add_note").update(name="Ajouter")
    made = site.backup(include_media=False)
    Permission.objects.filter(codename="sign_note").delete()
    Permission.objects.filter(codename="add_note").update(name="Can add note")
    site.restore(made.path)
    assert Permission.objects.get(codename="sign_note").name == "Signer une note"
    assert Permission.objects.get(codename="add_note").name == "Ajouter"


def test_materialised_views_are_refreshed_and_one_that_cannot_be_is_named(site):
    sql(
        "CREATE MATERIALIZED VIEW bases AS SELECT count(*) AS n FROM testsite_base",
        "CREATE MATERIALIZED VIEW over_bases AS SELECT n FROM bases",
    )
    count = m.Base.objects.count()
    made = site.backup(include_media=False)
    sql("INSERT INTO testsite_base (name) VALUES ('more')", "REFRESH MATERIALIZED VIEW bases")
    sql("CREATE OR REPLACE FUNCTION broken() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    sql("CREATE MATERIALIZED VIEW broken_view AS SELECT broken() AS n FROM testsite_base")
    sql("CREATE OR REPLACE FUNCTION broken() RETURNS int LANGUAGE sql AS 'SELECT 1 / 0'")
    output = site.restore(made.path)
    assert sql("SELECT n FROM over_bases") == [(count,)]
    assert "broken_view was not refreshed" in output.errors


def test_a_table_of_an_extension_is_no_data_of_the_site(site):
    sql('ALTER EXTENSION plpgsql ADD TABLE "Legacy Table"')
    try:
        made = site.backup(include_media=False)
    finally:
        sql('ALTER EXTENSION plpgsql DROP TABLE "Legacy Table"')
    assert lines(made, "testsite.legacy") == []
    assert not [one for one in manifest(made)["left_out"] if "Legacy" in one["name"]]


def test_a_dry_run_names_the_tables_whose_owner_the_role_is_not(site):
    made = site.backup(include_media=False)
    assert "needs the owner" not in site.restore(made.path, dry_run=True).errors
    sql("CREATE ROLE of_the_site", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO of_the_site", "SET ROLE of_the_site")
    try:
        output = site.restore(made.path, dry_run=True).errors
    finally:
        sql("RESET ROLE", "DROP OWNED BY of_the_site", "DROP ROLE of_the_site")
    assert "warning: a restore needs the owner of these tables, which this role is not: public." in output
    assert "public.auth_group" in output
    assert "hint: make the site's role their owner" in output


@pytest.mark.promise("P8")
def test_extensions_that_saved_columns_need_are_named_with_their_statement_before_anything_is_changed(site, refused):
    sql("CREATE EXTENSION citext", "ALTER TABLE testsite_club ALTER name TYPE citext")
    made = site.backup(include_media=False)
    assert manifest(made)["type_extensions"] == {"citext": "citext"}
    sql("ALTER TABLE testsite_club DROP COLUMN name", "DROP EXTENSION citext")
    connections["default"].close()
    with pytest.raises(CommandError) as caught:
        site.restore(made.path, dry_run=True)
    assert caught.value.returncode == 4
    assert "need extensions that this database does not have: citext (testsite.club.name)" in str(caught.value)
    assert "type: CREATE EXTENSION citext; Then make the tables: python manage.py migrate" in str(caught.value)


def test_an_array_of_an_extension_s_type_needs_the_extension_too(site):
    sql("CREATE EXTENSION citext", "CREATE DOMAIN nick AS citext")
    sql("ALTER TABLE testsite_club ALTER name TYPE nick[] USING ARRAY[name]")
    assert manifest(site.backup(include_media=False))["type_extensions"] == {"nick[]": "citext"}


@pytest.mark.promise("P8")
def test_a_table_that_lacks_a_column_of_its_model_is_named_before_the_load(site):
    made = site.backup(include_media=False)
    sql("ALTER TABLE testsite_club DROP COLUMN name")
    with pytest.raises(CommandError, match=r"lack columns that the models have: testsite_club\.name") as caught:
        site.restore(made.path)
    assert caught.value.returncode == 4


@pytest.mark.promise("P8")
@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("ALTER TABLE testsite_club ALTER name TYPE varchar(3) USING 'abc'", "testsite.club.name is character varying(3)"),
        ("ALTER TABLE testsite_club ALTER name TYPE int USING 1", "testsite.club.name is integer, saved as varchar(30)"),
        ("ALTER TABLE testsite_custom ALTER word TYPE varchar(2) USING 'ab'", "testsite.custom.word is character varying(2)"),
        ("ALTER TABLE testsite_custom ALTER word TYPE smallint USING 7", "testsite.custom.word is smallint"),
    ],
)  # fmt: skip
def test_values_that_a_column_does_not_take_are_named_before_the_load(site, statement, named):
    made = site.backup(include_media=False)
    sql(statement)
    with pytest.raises(CommandError) as caught:
        site.restore(made.path, dry_run=True)
    assert caught.value.returncode == 4
    assert f"do not take the saved values: {named}" in str(caught.value)
    assert "values do not fit, first db_backup_" in str(caught.value)
    assert "ALTER COLUMN" in str(caught.value)


def test_a_column_of_another_type_that_may_refuse_values_is_named_and_a_wider_one_is_not(site):
    made = site.backup(include_media=False)
    sql("ALTER TABLE testsite_club ALTER name TYPE text", "ALTER TABLE testsite_custom ALTER word TYPE name")
    output = site.restore(made.path, dry_run=True).errors
    assert "testsite.custom.word is name, saved as character varying(30)" in output
    assert "testsite.club" not in output
    site.restore(made.path)


def test_a_column_whose_type_changed_and_takes_every_value_is_restored(site):
    made = site.backup(include_media=False)
    sql("ALTER TABLE testsite_custom ALTER word TYPE varchar(20)")
    assert "testsite.custom" not in site.restore(made.path).errors


@pytest.mark.promise("P11")
def test_columns_that_no_model_has_are_named(site):
    sql(
        "ALTER TABLE testsite_club ADD extra text NOT NULL DEFAULT 'x'",
        "ALTER TABLE testsite_club ADD g int GENERATED ALWAYS AS (id) STORED",
    )
    named = [one["name"] for one in manifest(site.backup(include_media=False))["left_out"] if one["kind"] == "column"]
    assert named == ["testsite_club.extra"]


@pytest.mark.promise("P9")
def test_a_column_without_model_and_default_that_may_not_be_null_refuses_the_backup(site):
    sql(
        "ALTER TABLE testsite_club ADD extra text NOT NULL DEFAULT 'x'",
        "ALTER TABLE testsite_club ALTER extra DROP DEFAULT",
    )
    with pytest.raises(CommandError, match=r"no model has the column testsite_club\.extra") as caught:
        site.backup(include_media=False)
    assert caught.value.returncode == 4


@pytest.mark.promise("P9")
def test_rows_that_break_a_check_which_is_not_valid_come_back_and_the_check_stays_so(site):
    sql("ALTER TABLE testsite_club ADD CONSTRAINT later CHECK (name = 'never') NOT VALID")
    rows = site.rows()
    made = site.backup(include_media=False)
    site.clear()
    site.restore(made.path)
    assert site.rows() == rows
    assert sql("SELECT convalidated FROM pg_constraint WHERE conname = 'later'") == [(False,)]


BROKEN = {
    "a foreign key": (
        "testsite_membership_club_id",
        ["SET session_replication_role = replica", "UPDATE testsite_membership SET club_id = 999", "RESET session_replication_role"],
    ),
    "a check whose function has changed": (
        "of_names",
        [
            "CREATE FUNCTION is_good(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'",
            "ALTER TABLE testsite_club ADD CONSTRAINT of_names CHECK (is_good(name))",
            "COMMENT ON CONSTRAINT of_names ON testsite_club IS 'it''s here'",
            "CREATE OR REPLACE FUNCTION is_good(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT false'",
        ],
    ),
    "two checks of one row": (
        "first_one",
        [
            "CREATE FUNCTION is_good(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'",
            "ALTER TABLE testsite_club ADD CONSTRAINT first_one CHECK (is_good(name)), ADD CHECK (is_good(name || 'x'))",
            "CREATE OR REPLACE FUNCTION is_good(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT false'",
        ],
    ),
    "a check of a domain": (
        "of_words",
        [
            "CREATE FUNCTION is_good(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'",
            'CREATE DOMAIN "My Word" AS text CONSTRAINT of_words CHECK (is_good(VALUE))',
            'ALTER TABLE testsite_club ALTER name TYPE "My Word"',
            "CREATE OR REPLACE FUNCTION is_good(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT false'",
        ],
    ),
    "an inherited check": (
        "of_parents",
        [
            "CREATE FUNCTION is_good(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'",
            "CREATE TABLE parent (name varchar(30) NOT NULL CONSTRAINT of_parents CHECK (is_good(name)))",
            "ALTER TABLE testsite_club ADD CONSTRAINT of_parents CHECK (is_good(name)), INHERIT parent",
            "CREATE OR REPLACE FUNCTION is_good(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT false'",
        ],
    ),
}  # fmt: skip

_CONSTRAINTS = """
SELECT conrelid::regclass, contypid::regtype, conname, replace(pg_get_constraintdef(oid), ' NOT VALID', ''),
       obj_description(oid, 'pg_constraint') FROM pg_constraint ORDER BY 1, 2, 3, 4
"""


@pytest.mark.promise("P9")
@pytest.mark.parametrize("what", BROKEN)
def test_rows_that_broke_a_constraint_when_they_were_saved_come_back_and_it_is_not_valid(site, what):
    name, statements = BROKEN[what]
    sql(*statements)
    rows, constraints = site.rows(), sql(_CONSTRAINTS)
    made = site.backup(include_media=False)
    connections["default"].close()
    output = site.restore(made.path).errors
    assert site.rows() == rows
    assert sql(_CONSTRAINTS) == constraints
    broken = sql("SELECT conname FROM pg_constraint WHERE NOT convalidated ORDER BY 1")
    assert [one for (one,) in broken if one.startswith(name)]
    for (one,) in broken:
        assert f"warning: {one} of " in output
    assert output.count("is NOT VALID: saved rows break it: ") == output.count("VALIDATE CONSTRAINT") >= 1


@pytest.mark.promise("P8")
def test_rows_that_break_a_check_of_newer_code_are_refused(site, refused, monkeypatch):
    """The check may be newer than the rows, which never broke it where they were saved."""
    made = site.backup(include_media=False)
    sql("UPDATE testsite_club SET name = 'never'")
    sql("ALTER TABLE testsite_club ADD CONSTRAINT newer CHECK (name = 'never')")
    monkeypatch.setattr(loader, "in_code", lambda: CodeMigrations(frozenset({"testsite.0002_newer"}), frozenset()))
    assert '"newer"' in refused(made.path).text


@pytest.mark.promise("P8")
def test_rows_that_are_equal_for_a_unique_index_are_refused_with_both_ways_out(site, refused):
    """As after a change of the sorting rules: the index of the live database did not see that they are equal."""
    sql(
        "INSERT INTO testsite_club (name) VALUES ('twin'), ('twin')",
        "CREATE FUNCTION own(text, bigint) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1 || $2'",
        "CREATE UNIQUE INDEX twins ON testsite_club (own(name, id))",
        "CREATE OR REPLACE FUNCTION own(text, bigint) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1'",
    )
    found = refused(site.backup(include_media=False).path)
    assert found.code == 9
    assert '"twins"' in found.text
    assert "=(twin) already exists" in found.text
    assert "hint: two rows are equal for that index" in found.text


@pytest.mark.promise("P9")
def test_quote_all_identifiers_of_the_database_does_not_change_how_a_backup_is_read(site):
    rows = site.rows()
    made = site.backup(include_media=False)
    sql("ALTER DATABASE site SET quote_all_identifiers = on")
    connections["default"].close()
    site.restore(made.path)
    assert site.rows() == rows
