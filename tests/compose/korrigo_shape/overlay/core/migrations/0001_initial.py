"""The tables of core."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes both tables."""

    initial = True
    operations = (
        migrations.CreateModel(
            name="PlatformSettings",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("school", models.CharField(max_length=80)),
            ],
        ),
        migrations.CreateModel(
            name="Page",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("image_path", models.TextField()),
                ("number", models.PositiveIntegerField()),
            ],
        ),
    )
