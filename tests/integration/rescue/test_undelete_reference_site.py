"""Random objects of the reference site, deleted by its own Django: undelete brings back exactly what Django deleted.

Django decides what a deletion takes with it, and the test compares rows with those from before. No code of the product
says what is expected.
"""

import json
import os

import pytest

from demosite import MANAGE
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.errors import Refused
from korrigo_backup.rescue.undelete import UndeleteOptions, undelete
from property_testing import event, given, settings, st
from sandbox import USER, connect, quoted

EXAMPLES = int(os.environ.get("KORRIGO_TEST_UNDELETE_DEMO", "6"))
MODELS = ("Exam", "Copy", "Student", "Booklet", "Annotation", "GradingEvent", "Note", "Profile", "User")
DELETE = """
import json, sys
from django.contrib.auth.models import User
from django.db.models import ProtectedError
from exams import models
deleted = []
for name, number in json.loads('{picks}'):
    model = User if name == "User" else getattr(models, name)
    rows = getattr(model, "everything", model.objects).order_by("pk")
    if not rows.count():
        continue
    one = rows[number % rows.count()]
    place = f"{{model._meta.label}}:{{one.pk}}"
    try:
        one.delete()
    except ProtectedError:
        continue
    deleted.append(place)
print(json.dumps(deleted))
"""
ROWS = """
SELECT c.relname, a.attname FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1
"""


def rows(site):
    """Each row of the site, as text, by its table and key."""
    return {
        (table, key): row
        for table, column in site.sql(ROWS)
        for key, row in site.sql(f"SELECT {quoted(column)}::text, t::text FROM {quoted(table)} t")
    }


@pytest.fixture
def saved(demo):
    """The reference site, a backup of it, and a copy of its database to begin each example with."""
    dump = demo.backup()
    with connect(demo.server) as admin:
        admin.execute(f"CREATE DATABASE {quoted(demo.database + '_then')} TEMPLATE {quoted(demo.database)}")
    return demo, dump


def begin_again(site):
    with connect(site.server) as admin:
        admin.execute(f"DROP DATABASE {quoted(site.database)} WITH (FORCE)")
        admin.execute(
            f"CREATE DATABASE {quoted(site.database)} TEMPLATE {quoted(site.database + '_then')} OWNER {USER}"
        )
    for record in site.backups.glob(".undelete-*"):
        record.unlink()


@settings(max_examples=EXAMPLES)
@given(
    picks=st.lists(st.tuples(st.sampled_from(MODELS), st.integers(0, 50)), min_size=1, max_size=5), taken=st.booleans()
)
def test_what_django_deleted_comes_back_and_nothing_else_changes(saved, picks, taken):
    site, dump = saved
    begin_again(site)
    before = rows(site)
    done = site.run([*MANAGE.split(), "shell", "--no-imports", "-c", DELETE.format(picks=json.dumps(picks))])
    roots = json.loads(done.out)
    lost = before.keys() - rows(site).keys()
    if not lost:
        event("nothing could be deleted")
        return
    site.sql("UPDATE exams_booklet SET last_page = last_page + 1; UPDATE auth_user SET last_name = 'edited'")
    students = sorted(key for table, key in lost if table == "exams_student")
    if taken and students:
        mail = site.sql(f"SELECT email FROM exams_student WHERE id = {students[0]}", site.database + "_then")[0][0]
        site.sql(
            "INSERT INTO exams_student (first_name, last_name, email, birth_date, class_name)"
            f" VALUES ('A', 'Newcomer', '{mail}', '2009-01-01', 'TS1')"
        )
    live = rows(site)
    wired = site.wired()
    options = UndeleteOptions(tuple(roots), source=str(dump))

    def bring_back():
        return undelete(wired.site(), wired.catalog, options, now=local_now(), confirm=lambda _: True)

    if taken and students:
        event("a mail address is taken")
        with pytest.raises(Refused) as refused:
            bring_back()
        assert refused.value.id == "undelete.conflict"
        assert rows(site) == live
        return
    event(f"brought back {len(roots)} objects")
    assert bring_back().count == len(lost)
    assert rows(site) == live | {place: before[place] for place in lost}
