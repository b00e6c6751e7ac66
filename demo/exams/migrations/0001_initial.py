"""The tables of the exams; the check constraints are written to suit Django 4.2 and 5.1+ alike."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from exams.constraints import check


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Copy",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("pdf", models.FileField(max_length=200, upload_to="copies/%Y/")),
                ("anonymous_id", models.CharField(max_length=24, unique=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("staging", "En attente"),
                            ("ready", "Prête"),
                            ("locked", "En correction"),
                            ("graded", "Corrigée"),
                        ],
                        default="staging",
                        max_length=10,
                    ),
                ),
                ("graded_at", models.DateTimeField(blank=True, null=True)),
                ("score", models.DecimalField(blank=True, decimal_places=2, max_digits=5, null=True)),
                (
                    "locked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="locked_copies",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "copies",
            },
        ),
        migrations.CreateModel(
            name="Exam",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=120)),
                ("date", models.DateField()),
                ("coefficient", models.DecimalField(decimal_places=2, default=1, max_digits=4)),
                ("grading_scheme", models.JSONField(default=dict)),
                ("archived", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "reference_copy",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="reference_of",
                        to="exams.copy",
                    ),
                ),
                (
                    "teachers",
                    models.ManyToManyField(blank=True, related_name="exams", to=settings.AUTH_USER_MODEL),
                ),
            ],
            options={
                "ordering": ["date", "name"],
            },
        ),
        migrations.AddField(
            model_name="copy",
            name="exam",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="copies", to="exams.exam"
            ),
        ),
        migrations.CreateModel(
            name="GradingEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("import", "Import"),
                            ("lock", "Verrouillage"),
                            ("annotate", "Annotation"),
                            ("unlock", "Déverrouillage"),
                            ("finalize", "Finalisation"),
                            ("export", "Export"),
                        ],
                        max_length=10,
                    ),
                ),
                ("timestamp", models.DateTimeField(default=django.utils.timezone.now)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("duration", models.DurationField(blank=True, null=True)),
                (
                    "actor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="grading_events",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "copy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="events", to="exams.copy"
                    ),
                ),
            ],
            options={
                "ordering": ["timestamp"],
            },
        ),
        migrations.CreateModel(
            name="Note",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("object_id", models.CharField(max_length=64)),
                ("text", models.TextField()),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="notes",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "content_type",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to="contenttypes.contenttype"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Profile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("teacher", "Professeur"),
                            ("corrector", "Correcteur"),
                            ("admin", "Administration"),
                        ],
                        default="teacher",
                        max_length=20,
                    ),
                ),
                ("signature", models.BinaryField(blank=True, null=True)),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="profile",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Student",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("first_name", models.CharField(max_length=80)),
                ("last_name", models.CharField(max_length=80)),
                ("email", models.EmailField(max_length=254, unique=True)),
                ("birth_date", models.DateField()),
                ("class_name", models.CharField(max_length=20)),
            ],
            options={
                "ordering": ["last_name", "first_name"],
                "indexes": [models.Index(fields=["class_name", "last_name"], name="student_class_idx")],
            },
        ),
        migrations.AddField(
            model_name="copy",
            name="student",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="copies",
                to="exams.student",
            ),
        ),
        migrations.CreateModel(
            name="Booklet",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("first_page", models.PositiveIntegerField()),
                ("last_page", models.PositiveIntegerField()),
                (
                    "pages_images",
                    models.JSONField(default=list, help_text="paths of the images, relative to MEDIA_ROOT"),
                ),
                (
                    "copy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="booklets", to="exams.copy"
                    ),
                ),
            ],
            options={
                "ordering": ["copy", "first_page"],
                "constraints": [
                    models.UniqueConstraint(fields=("copy", "first_page"), name="booklet_first_page_once"),
                    check(
                        models.Q(("last_page__gte", models.F("first_page"))), name="booklet_pages_in_order"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Annotation",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("page", models.PositiveIntegerField()),
                ("x", models.FloatField()),
                ("y", models.FloatField()),
                ("w", models.FloatField()),
                ("h", models.FloatField()),
                ("content", models.TextField(blank=True)),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("comment", "Commentaire"),
                            ("highlight", "Surlignage"),
                            ("error", "Erreur"),
                            ("bonus", "Bonus"),
                        ],
                        default="comment",
                        max_length=10,
                    ),
                ),
                ("score_delta", models.SmallIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="annotations",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "copy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="annotations",
                        to="exams.copy",
                    ),
                ),
            ],
            options={
                "ordering": ["page", "created_at"],
                "indexes": [models.Index(fields=["copy", "page"], name="annotation_copy_page_idx")],
            },
        ),
        migrations.AddIndex(
            model_name="exam",
            index=models.Index(fields=["archived", "date"], name="exam_archived_date_idx"),
        ),
        migrations.AddIndex(
            model_name="gradingevent",
            index=models.Index(fields=["copy", "timestamp"], name="event_copy_time_idx"),
        ),
        migrations.AddIndex(
            model_name="note",
            index=models.Index(fields=["content_type", "object_id"], name="note_target_idx"),
        ),
        migrations.AddIndex(
            model_name="copy",
            index=models.Index(fields=["exam", "status"], name="copy_exam_status_idx"),
        ),
        migrations.AddConstraint(
            model_name="copy",
            constraint=models.UniqueConstraint(fields=("exam", "student"), name="copy_one_per_student"),
        ),
        migrations.AddConstraint(
            model_name="copy",
            constraint=check(
                models.Q(("score__isnull", True), ("score__range", (0, 20)), _connector="OR"),
                name="copy_score_0_to_20",
            ),
        ),
    ]
