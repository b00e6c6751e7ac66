"""Exams, the copies of the students, and what the markers leave on them."""

import uuid

from django.contrib.auth.models import User
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone

from exams.constraints import check


class Profile(models.Model):
    """What the school knows about a user; made by a signal when the user is."""

    class Role(models.TextChoices):
        TEACHER = "teacher", "Professeur"
        CORRECTOR = "corrector", "Correcteur"
        ADMIN = "admin", "Administration"

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="profile")
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.TEACHER)
    signature = models.BinaryField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class Student(models.Model):
    """A pupil who sits exams."""

    id = models.AutoField(primary_key=True)
    first_name = models.CharField(max_length=80)
    last_name = models.CharField(max_length=80)
    email = models.EmailField(unique=True)
    birth_date = models.DateField()
    class_name = models.CharField(max_length=20)

    class Meta:
        ordering = ["last_name", "first_name"]
        indexes = [models.Index(fields=["class_name", "last_name"], name="student_class_idx")]

    def __str__(self) -> str:
        return f"{self.last_name} {self.first_name}"


class CurrentExams(models.Manager):
    """Hides archived exams: whoever backs up through this manager loses them."""

    def get_queryset(self) -> models.QuerySet:
        """Return the exams that are not archived."""
        return super().get_queryset().filter(archived=False)


class Exam(models.Model):
    """One exam; its reference copy points back at it, so the two tables form a circle."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    date = models.DateField()
    coefficient = models.DecimalField(max_digits=4, decimal_places=2, default=1)
    grading_scheme = models.JSONField(default=dict)
    archived = models.BooleanField(default=False)
    teachers = models.ManyToManyField(User, related_name="exams", blank=True)
    reference_copy = models.ForeignKey(
        "Copy", on_delete=models.SET_NULL, null=True, blank=True, related_name="reference_of"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    notes = GenericRelation("Note")

    objects = CurrentExams()
    everything = models.Manager()

    class Meta:
        ordering = ["date", "name"]
        indexes = [models.Index(fields=["archived", "date"], name="exam_archived_date_idx")]

    def __str__(self) -> str:
        return self.name


class Copy(models.Model):
    """The scanned paper of one student; the student stays unknown until the anonymity is lifted."""

    class Status(models.TextChoices):
        STAGING = "staging", "En attente"
        READY = "ready", "Prête"
        LOCKED = "locked", "En correction"
        GRADED = "graded", "Corrigée"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="copies")
    student = models.ForeignKey(Student, on_delete=models.SET_NULL, null=True, blank=True, related_name="copies")
    pdf = models.FileField(upload_to="copies/%Y/", max_length=200)
    anonymous_id = models.CharField(max_length=24, unique=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.STAGING)
    locked_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="locked_copies")
    graded_at = models.DateTimeField(null=True, blank=True)
    score = models.DecimalField(max_digits=5, decimal_places=2, null=True, blank=True)
    notes = GenericRelation("Note")

    class Meta:
        verbose_name_plural = "copies"
        indexes = [models.Index(fields=["exam", "status"], name="copy_exam_status_idx")]
        constraints = [
            models.UniqueConstraint(fields=["exam", "student"], name="copy_one_per_student"),
            check(models.Q(score__isnull=True) | models.Q(score__range=(0, 20)), name="copy_score_0_to_20"),
        ]

    def __str__(self) -> str:
        return self.anonymous_id


class Booklet(models.Model):
    """Consecutive pages of a copy; the page images are named in JSON, not in a FileField."""

    id = models.AutoField(primary_key=True)
    copy = models.ForeignKey(Copy, on_delete=models.CASCADE, related_name="booklets")
    first_page = models.PositiveIntegerField()
    last_page = models.PositiveIntegerField()
    pages_images = models.JSONField(default=list, help_text="paths of the images, relative to MEDIA_ROOT")

    class Meta:
        ordering = ["copy", "first_page"]
        constraints = [
            models.UniqueConstraint(fields=["copy", "first_page"], name="booklet_first_page_once"),
            check(models.Q(last_page__gte=models.F("first_page")), name="booklet_pages_in_order"),
        ]

    def __str__(self) -> str:
        return f"{self.copy} p. {self.first_page}-{self.last_page}"


class Annotation(models.Model):
    """A mark on a page, in fractions of the page's width and height."""

    class Type(models.TextChoices):
        COMMENT = "comment", "Commentaire"
        HIGHLIGHT = "highlight", "Surlignage"
        ERROR = "error", "Erreur"
        BONUS = "bonus", "Bonus"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    copy = models.ForeignKey(Copy, on_delete=models.CASCADE, related_name="annotations")
    page = models.PositiveIntegerField()
    x = models.FloatField()
    y = models.FloatField()
    w = models.FloatField()
    h = models.FloatField()
    content = models.TextField(blank=True)
    type = models.CharField(max_length=10, choices=Type.choices, default=Type.COMMENT)
    score_delta = models.SmallIntegerField(default=0)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="annotations")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["page", "created_at"]
        indexes = [models.Index(fields=["copy", "page"], name="annotation_copy_page_idx")]

    def __str__(self) -> str:
        return f"{self.get_type_display()} p. {self.page}"


class GradingEvent(models.Model):
    """One line of the audit log; an actor with a past cannot be deleted."""

    class Action(models.TextChoices):
        IMPORT = "import", "Import"
        LOCK = "lock", "Verrouillage"
        ANNOTATE = "annotate", "Annotation"
        UNLOCK = "unlock", "Déverrouillage"
        FINALIZE = "finalize", "Finalisation"
        EXPORT = "export", "Export"

    copy = models.ForeignKey(Copy, on_delete=models.CASCADE, related_name="events")
    actor = models.ForeignKey(User, on_delete=models.PROTECT, related_name="grading_events")
    action = models.CharField(max_length=10, choices=Action.choices)
    timestamp = models.DateTimeField(default=timezone.now)
    metadata = models.JSONField(default=dict, blank=True)
    duration = models.DurationField(null=True, blank=True)

    class Meta:
        ordering = ["timestamp"]
        indexes = [models.Index(fields=["copy", "timestamp"], name="event_copy_time_idx")]

    def __str__(self) -> str:
        return f"{self.action} {self.timestamp:%Y-%m-%d %H:%M:%S}"


class Note(models.Model):
    """A remark on any object of the site; its link goes through the content type's number."""

    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.CharField(max_length=64)
    target = GenericForeignKey("content_type", "object_id")
    text = models.TextField()
    author = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notes")

    class Meta:
        indexes = [models.Index(fields=["content_type", "object_id"], name="note_target_idx")]

    def __str__(self) -> str:
        return self.text[:40]
