"""Deleted objects of the reference site: the site's Django names the relations that the database does not hold."""

from dataclasses import replace

import pytest

from demosite import MANAGE
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.core.site_description import DatabaseName, DeclaredRelation, Description, TableName
from korrigo_backup.rescue.undelete import UndeleteOptions, undelete

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


INHERITED = """
CREATE TABLE base (id int PRIMARY KEY, name text);
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


def undeleted(site, *objects):
    wired = site.wired()
    live = replace(wired.site(), django=Described())
    return undelete(live, wired.catalog, UndeleteOptions(objects), now=local_now(), confirm=lambda _: True)


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


def test_an_object_that_is_needed_comes_back_with_both_of_its_rows(family):
    family.sql("DELETE FROM note; DELETE FROM visit; DELETE FROM child; DELETE FROM base; DELETE FROM loose")
    plan = undeleted(family, "visit:2")
    assert {one.table: one.needed for one in plan.tables if one.needed} == {"public.base": 1, "public.child": 1}
    assert family.sql("SELECT id FROM loose") == []
