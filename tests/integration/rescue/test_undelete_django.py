"""Deleted objects of the reference site: the site's Django names the relations that the database does not hold."""

import shlex
from dataclasses import replace

import pytest

from demosite import MANAGE
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.core.site_description import DatabaseName, DeclaredRelation, Description, TableName
from korrigo_backup.errors import Refused, UsageError
from korrigo_backup.rescue.history.rows import HistorySource, row_history
from korrigo_backup.rescue.points import read_points
from korrigo_backup.rescue.site_tables import SiteTables, live_database
from korrigo_backup.rescue.undelete import UndeleteOptions, undelete
from korrigo_backup.rescue.values.revert import RevertOptions, revert

DELETE = """
from exams.models import Exam
exam = Exam.everything.order_by("id").first()
print(exam.pk)
for copy in exam.copies.all():
    copy.delete()
exam.delete()
"""


def run_django(site, code):
    return site.run([*MANAGE.split(), "shell", "--no-imports", "-c", code]).out.strip()


def test_an_exam_deleted_by_django_comes_back_whole(demo):
    demo.backup()
    before = demo.rows()
    key = run_django(demo, DELETE)
    after = demo.rows()
    plan = demo.json("undelete", f"exams.Exam:{key}", "--relink", "--yes")["plan"]
    assert not [one for one in plan["findings"] if one["id"] == "undelete.no_django"]
    counts = {one["table"]: one["asked"] + one["with_asked"] for one in plan["tables"]}
    assert counts["public.exams_exam"] == 1
    assert counts["public.exams_copy"] >= 1
    assert after != before
    assert demo.rows() == before


def test_rescue_offers_one_command_for_a_deletion_and_its_generic_relations(demo):
    """The notes of a copy name it by a content type, which the database does not hold."""
    demo.backup()
    before = demo.rows()
    run_django(
        demo, "from exams.models import Note; Note.objects.filter(content_type__model='copy').first().target.delete()"
    )
    found = demo.json("rescue", "--only-data")
    lost = {one["table"] for one in found["losses"]["tables"] if one["change"]["removed"]}
    assert {"public.exams_note", "public.exams_copy"} <= lost
    offers = [one["command"] for one in found["offers"] if " undelete " in one["command"]]
    assert [offers[0].split()[2].partition(":")[0], len(offers)] == ["public.exams_copy", 1]
    demo.json(*shlex.split(offers[0])[1:], "--relink", "--yes")
    assert demo.rows() == before


INHERITED = """
CREATE TABLE base (id int PRIMARY KEY, name text UNIQUE);
CREATE TABLE child (base_ptr_id int PRIMARY KEY, age int);
CREATE TABLE loose (id int PRIMARY KEY, base_id int);
CREATE TABLE django_content_type (id int PRIMARY KEY, app_label text, model text);
CREATE TABLE note (id int PRIMARY KEY, content_type_id int, object_id text);
CREATE TABLE visit (id int PRIMARY KEY, child_id int REFERENCES child);
INSERT INTO base VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO child VALUES (1, 10), (2, 20);
INSERT INTO loose VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO django_content_type VALUES (7, 'app', 'child'), (8, 'app', 'base');
INSERT INTO note VALUES (1, 7, '1'), (2, 8, '1'), (3, 7, '2');
INSERT INTO visit VALUES (1, 1), (2, 2);
"""
DECLARED = (
    DeclaredRelation(TableName("child"), ("base_ptr_id",), TableName("base"), ("id",), parent_link=True),
    DeclaredRelation(TableName("loose"), ("base_id",), TableName("base"), ("id",)),
    DeclaredRelation(
        TableName("note"), ("object_id",), TableName("child"), ("base_ptr_id",),
        type_column="content_type_id", content_type=("app", "child"),
    ),
)  # fmt: skip


class Described:
    """Stands for a site's Django that describes its models."""

    description = "a test"

    def ask(self, *_):
        database = DatabaseName("postgresql", "x", "")
        return Description(
            django="5", python="3", database=database, media_root="", users=TableName(""), relations=DECLARED
        )


def described(site):
    wired = site.wired()
    return replace(wired.site(), django=Described()), wired.catalog


def undeleted(site, *objects, **options):
    live, catalog = described(site)
    return undelete(live, catalog, UndeleteOptions(objects, **options), now=local_now(), confirm=lambda _: True)


@pytest.fixture
def family(make_site):
    made = make_site(schema=INHERITED)
    made.backup()
    return made


@pytest.mark.parametrize("named", ["base:1", "child:1"])
def test_both_ends_of_a_parent_link_are_one_object(family, named):
    before = family.rows()
    family.sql("DELETE FROM visit WHERE id = 1; DELETE FROM note WHERE id = 1; DELETE FROM loose WHERE id = 1;"
               "DELETE FROM child WHERE base_ptr_id = 1; DELETE FROM base WHERE id = 1")  # fmt: skip
    plan = undeleted(family, named)
    assert plan.count == 5
    assert family.rows() == before


def test_a_generic_relation_takes_rows_of_its_own_content_type_alone(family):
    family.sql("DELETE FROM note; DELETE FROM visit; DELETE FROM child; DELETE FROM base; DELETE FROM loose")
    undeleted(family, "child:2")
    assert family.sql("SELECT id FROM note") == [(3,)]
    assert family.sql("SELECT id FROM visit") == [(2,)]


def test_content_types_that_were_numbered_anew_refuse_the_undelete(family):
    family.sql("DELETE FROM note; DELETE FROM visit; DELETE FROM child; UPDATE django_content_type SET id = 15 - id + 100;"
               "UPDATE django_content_type SET id = id - 100")  # fmt: skip
    before = family.rows()
    with pytest.raises(Refused, match=r"app\.child has another number") as refused:
        undeleted(family, "child:1")
    assert refused.value.id == "undelete.content_types"
    assert family.rows() == before


def test_an_object_that_is_needed_comes_back_with_both_of_its_rows(family):
    family.sql("DELETE FROM note; DELETE FROM visit; DELETE FROM child; DELETE FROM base; DELETE FROM loose")
    plan = undeleted(family, "visit:2")
    assert {one.table: one.needed for one in plan.tables if one.needed} == {"public.base": 1, "public.child": 1}
    assert family.sql("SELECT id FROM loose") == []


def test_a_new_value_goes_into_the_inherited_column_that_is_taken(family):
    family.sql("DELETE FROM note; DELETE FROM visit; DELETE FROM child WHERE base_ptr_id = 1; DELETE FROM loose;"
               "DELETE FROM base WHERE id = 1; INSERT INTO base VALUES (9, 'one')")  # fmt: skip
    plan = undeleted(family, "child:1", new_values=("child.name=one (old)",))
    assert [(one.table, one.key, one.former, one.value) for one in plan.new_values] == [
        ("public.base", ("1",), "one", "one (old)")
    ]
    assert family.sql("SELECT name, age FROM base JOIN child ON base_ptr_id = id WHERE id = 1") == [("one (old)", 10)]


def test_the_history_of_an_inherited_field_is_that_of_the_parent_row(family):
    family.sql("UPDATE base SET name = 'renamed' WHERE id = 2")
    live, catalog = described(family)
    points = read_points(catalog)
    with live_database(live) as database:
        tables = SiteTables(live, points.dumps, database.taken)
        source = HistorySource(live, points, database.taken, local_now())
        found = row_history(source, tables, tables.row("child:2"), "name")
        own = row_history(source, tables, tables.row("child:2"), "age")
    assert (found.object, found.field, own.object, own.note) == ("public.base:2", "name", "public.child:2", "")
    assert found.note == "name is a column of public.base, from whose model that of public.child inherits"
    assert [(one.old, one.new) for one in found.events[-1].fields] == [("two", "renamed")]


def test_a_revert_of_an_inherited_column_names_the_command_for_its_own_rows(family):
    family.sql("UPDATE base SET name = 'oops ' || id")
    live, catalog = described(family)
    dump = str(catalog.artifacts()[0].name)

    def reverted(**options):
        return revert(live, catalog, RevertOptions(source=dump, **options), now=local_now(), confirm=lambda _: True)

    with pytest.raises(UsageError) as refused:
        reverted(table="child", columns=("name",), where="age > 10")
    assert "name is a column of public.base" in refused.value.message
    command = shlex.split(refused.value.hint)
    assert command[:3] == ["korrigo-backup", "revert", "--table"]
    named = dict(zip(command[2::2], command[3::2], strict=True))
    reverted(table=named["--table"], columns=(named["--column"],), where=named["--where"])
    assert family.sql("SELECT name FROM base ORDER BY id") == [("oops 1",), ("two",), ("oops 3",)]
