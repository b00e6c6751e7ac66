"""The real Django deletes objects of the tables of `undelete_graphs`: a process of its own, for its own settings.

Its models have the references of the graph and nothing else; which objects go with one is decided by Django's collector.
Started with the access to the database as JSON, it answers each line, a list of places, with those that it has deleted.
"""

import json
import sys
from typing import Any

import django
from django.apps import AppConfig
from django.conf import settings
from django.db import IntegrityError, connection, models, transaction

from integration.rescue.undelete_graphs import (
    COLUMNS,
    DATABASE,
    DEFAULT,
    GENERIC,
    LINK,
    REFERENCES,
    SET_DEFAULT,
    UNHELD,
)

HANDLED = {"CASCADE", "SET_NULL", "PROTECT", "RESTRICT", "SET_DEFAULT", "DO_NOTHING"}


class Graph(AppConfig):
    """The app of the models."""

    label = "app"


def make_models():
    """Return a model for each table that Django knows."""
    from django.contrib.contenttypes.fields import (  # noqa: PLC0415 - after the setup
        GenericForeignKey,
        GenericRelation,
    )
    from django.contrib.contenttypes.models import ContentType  # noqa: PLC0415

    made: dict[str, Any] = {}
    hidden = {table for table, _, _, how in REFERENCES if how == DATABASE}
    for table, columns in COLUMNS.items():
        if table in hidden:
            continue
        own = {column: (to, how) for child, column, to, how in REFERENCES if child == table}
        parent = next((to for to, how in own.values() if how == LINK), None)
        fields: dict[str, Any] = {}
        for column in columns:
            if column == "id" and parent:
                fields[f"{parent}_part"] = models.OneToOneField(
                    made[parent],
                    models.CASCADE,
                    db_column="id",
                    parent_link=True,
                    primary_key=True,
                    related_name=f"{table}_part",
                )
            elif column == "id":
                fields[column] = models.IntegerField(primary_key=True)
            elif column in own and own[column][1] != GENERIC:
                fields[column] = _reference(table, column, *own[column])
            elif table == "note" and column == "kind":
                fields[column] = models.ForeignKey(ContentType, models.DO_NOTHING, db_column=column, related_name="+")
            else:
                fields[column] = models.TextField(null=True)
        if table == "note":
            fields["owner"] = GenericForeignKey("kind", "object")
        if table == "item":
            fields["notes"] = GenericRelation("app.note", content_type_field="kind", object_id_field="object")
        meta = type("Meta", (), {"app_label": "app", "db_table": table, "managed": False})
        bases = (made[parent],) if parent else (models.Model,)
        made[table] = type(table, bases, {**fields, "Meta": meta, "__module__": __name__})
    return made


def _reference(table, column, to, how):
    name = "DO_NOTHING" if how == UNHELD else how
    assert name in HANDLED
    default = {"default": DEFAULT} if how == SET_DEFAULT else {}
    return models.ForeignKey(
        f"app.{to}", getattr(models, name), db_column=column, null=True, related_name="+", **default
    )


def delete(made, places):
    """Delete objects one by one, each if it is there and nothing holds it; return those that were deleted."""
    done = []
    for table, number in places:
        one = made[table].objects.filter(pk=number).first()
        try:
            with transaction.atomic():
                if one is not None:
                    one.delete()
                    done.append((table, number))
        except (models.ProtectedError, models.RestrictedError, IntegrityError):
            continue
    return done


def main():
    access = json.loads(sys.argv[1])
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **access}},
        INSTALLED_APPS=["django.contrib.contenttypes", Graph(__name__, sys.modules[__name__])],
        USE_TZ=True,
    )
    django.setup()
    made = make_models()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(delete(made, json.loads(line))) + "\n")
        sys.stdout.flush()
    connection.close()


if __name__ == "__main__":
    main()
