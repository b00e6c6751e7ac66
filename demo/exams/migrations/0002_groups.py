"""The groups every site starts with; their permissions do not exist yet and are given later."""

from typing import Any

from django.db import migrations

GROUPS = ("Teachers", "Admins", "Correctors")


def create_groups(apps: Any, schema_editor: Any) -> None:
    """Create the groups that are missing."""
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    for name in GROUPS:
        groups.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("exams", "0001_initial"),
    ]

    operations = [
        # Going back keeps the groups: users may be in them.
        migrations.RunPython(create_groups, migrations.RunPython.noop),
    ]
