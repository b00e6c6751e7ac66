"""Rows for the awkward models, and a reading of a whole database that shares no code with the product."""

import datetime as dt
import uuid
from decimal import Decimal

from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from django.db.models import JSONField, QuerySet, Value

from testsite import models as m

NOT_READ = {"django_content_type", "auth_permission", "django_session", "django_migrations", "there_is_no_such_table"}
NAMED = {"content_type_id", "permission_id", "contenttype_ptr_id", "type_id", "settings_id"}


def fill(alias):
    user = User.objects.db_manager(alias).create_user("alice", "a@example.org", "secret")
    User.objects.db_manager(alias).create_user("bob", None, "secret")
    m.Profile.objects.using(alias).filter(user=user).update(bio="edited")
    group = Group.objects.using(alias).create(name="markers")
    permission = Permission.objects.using(alias).get(codename="add_note")
    group.permissions.add(permission)
    user.user_permissions.add(permission)
    user.groups.add(group)
    everything(alias)
    parent = m.NoObjects.rows.using(alias).create(order=1)
    child = m.NoObjects.rows.using(alias).create(order=2, parent=parent)
    m.NoObjects.rows.using(alias).filter(pk=parent.pk).update(parent=child)
    left = m.Left.objects.using(alias).create()
    left.right = m.Right.objects.using(alias).create(left=left)
    left.save()
    m.Base.objects.using(alias).create(name="base")
    m.GrandChild.objects.using(alias).create(name="grand", age=3)
    doomed = m.Base.objects.using(alias).create(name="last number, deleted")
    doomed.delete()
    types = ContentType.objects.db_manager(alias)
    tag_type = types.get(app_label="testsite", model="tag")
    named = m.NamedType(contenttype_ptr_id=tag_type.pk, nickname="tags")
    named.save_base(raw=True, using=alias)
    settings = m.TypeSettings.objects.using(alias).create(type=tag_type, colour="red")
    m.Grant.objects.using(alias).create(permission=permission, settings=settings)
    m.Note.objects.using(alias).create(content_type=tag_type, object_id="x", text="a\n\u2028b\\\t🎓")
    club = m.Club.objects.using(alias).create(name="chess")
    m.Membership.objects.using(alias).create(pk=77, club=club, user=user, since="2020-02-29")
    m.Loose.objects.using(alias).create(user_id=987654)
    m.Custom.objects.using(alias).create(word="hello")
    m.Town.objects.using(alias).create(country=m.Country.objects.using(alias).create(code="FR"))
    m.Legacy.objects.using(alias).create(text="legacy")
    if hasattr(m, "Doubled"):
        m.Doubled.objects.using(alias).create(number=21, given=3)
    if hasattr(m, "Seat"):
        m.Seat.objects.using(alias).create(row=1, place="a", taken=True)
    if alias == "default":
        only_postgres()
        m.OnlyPostgres.objects.create(numbers=[1, None, 3], during=(dt.datetime(2020, 1, 1, tzinfo=dt.UTC), None))


def everything(alias):
    rows = QuerySet(m.Everything, using=alias)
    tags = [m.Tag.objects.using(alias).create(code=code) for code in ("a/b", "é", '"')]
    one = rows.create(
        id=uuid.UUID(int=1),
        hidden=True,
        moment=dt.datetime(2026, 2, 4, 3, 0, 0, 123457, tzinfo=dt.UTC),
        day=dt.date(1, 1, 1),
        clock=dt.time(23, 59, 59, 999999),
        span=dt.timedelta(days=-3, microseconds=7),
        amount=Decimal("1234567890.1230"),
        ratio=0.1 + 0.2,
        blob=bytes(range(256)),
        data={"big": 123456789012345678901234567890, "list": [None, True, "line\nbreak"], "clé": {}},
        address="2001:db8::1",
        text="",
        file="a/b.pdf",
    )
    rows.filter(pk=one.pk).update(changed=dt.datetime(2001, 1, 1, 1, 1, 1, 1, tzinfo=dt.UTC))
    one.tags.set(tags[:2])
    rows.create(id=uuid.UUID(int=2), data=Value(None, JSONField()), text="JSON null")
    rows.create(id=uuid.UUID(int=3), data=None, text="SQL NULL", ratio=1e300)
    if alias == "default":
        with connections[alias].cursor() as cursor:
            cursor.execute("UPDATE testsite_everything SET ratio = 'NaN' WHERE id = %s", [uuid.UUID(int=2)])
            cursor.execute(
                "UPDATE testsite_everything SET data = '[1.00000000000000000000000000000000001]' WHERE id = %s",
                [uuid.UUID(int=3)],
            )


def only_postgres():
    moment = dt.datetime(2026, 2, 4, 3, 0, 0, 123457, tzinfo=dt.UTC)
    m.Lists.objects.create(
        words=['a,"b"', None, "", "NULL", "é\\\n{}"],
        table=[[1, 2], [3, 4]],
        moments=[moment],
        amounts=[Decimal("1.230"), Decimal("-0.001")],
        spans=[dt.timedelta(days=-1, microseconds=1)],
        whole=(1, None),
        big=(None, 9_000_000_000),
        decimal=(Decimal("0.5"), Decimal("1.50")),
        days=(dt.date(2026, 1, 1), dt.date(2026, 1, 31)),
    )
    m.Lists.objects.create(words=[], whole=(3, 3))  # empty array, empty range
    with connections["default"].cursor() as cursor:
        cursor.execute(
            'INSERT INTO testsite_beyond (moment, day, clock, span, amount, ratio, one, two, "It\'s Odd") VALUES'
            " ('infinity', '-infinity', '24:00', '1 year 2 mons -3 days 04:05:06.7', 'NaN', 'Infinity', 'null', 'null', %s),"
            " ('0044-03-15 12:00:00.5+00 BC', '0044-03-15 BC', '00:00', '-1 mons', 0.1, '-Infinity', NULL, 'null', ''),"
            " ('12026-01-01 00:00+00', '12026-01-01', '23:59:59.999999', '-00:00:00.000001', -5, '-0', '[1e1]', NULL, ''),"
            " (NULL, NULL, NULL, '-4 days +00:00:01', NULL, 1e-7, '{\"a\": 1.10}', '\"x\"', '')",
            ["".join(map(chr, range(1, 128))) + " é\u2028🎓"],
        )


def read_all(alias, *, named=True):
    """Return every row of every table, as text that the database makes; numbers of content types as names."""
    connection = connections[alias]
    names = dict(QuerySet(ContentType, using=alias).values_list("pk", "model"))
    codes = dict(QuerySet(Permission, using=alias).values_list("pk", "codename"))
    content = {}
    with connection.cursor() as cursor:
        for table in sorted(set(connection.introspection.table_names(cursor)) - NOT_READ):
            columns = [c.name for c in connection.introspection.get_table_description(cursor, table)]
            cast = [f"CAST({connection.ops.quote_name(c)} AS text)" for c in columns]
            if connection.vendor == "sqlite":
                cast = [f"quote({connection.ops.quote_name(c)})" for c in columns]
            cursor.execute(f"SELECT {', '.join(cast)} FROM {connection.ops.quote_name(table)}")
            rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            for row in rows:
                for column in NAMED & set(row) if named else ():
                    if row[column] not in {None, "NULL"}:
                        row[column] = (codes if column == "permission_id" else names)[int(row[column])]
            content[table] = sorted(repr(sorted(row.items())) for row in rows)
    return content


def clear(alias):
    connection = connections[alias]
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
        for model in apps.get_models(include_auto_created=True):
            table = model._meta.db_table
            if model._meta.managed and not model._meta.proxy and table in there - NOT_READ:
                how = "TRUNCATE {} CASCADE" if alias == "default" else "DELETE FROM {}"
                cursor.execute(how.format(connection.ops.quote_name(table)))


def values(model, alias):
    """Return all rows of a model as Django sees them."""
    return sorted(repr([plain(value) for value in row]) for row in QuerySet(model, using=alias).values_list())


def plain(value):
    if isinstance(value, memoryview):
        return bytes(value)
    return sorted(value.items()) if isinstance(value, dict) else value
