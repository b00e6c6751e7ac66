"""The exams in Django's admin."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from exams.models import Annotation, Booklet, Copy, Exam, GradingEvent, Note, Profile, Student


@admin.register(Exam)
class ExamAdmin(admin.ModelAdmin):
    """Shows archived exams too."""

    list_display = ["name", "date", "coefficient", "archived"]
    raw_id_fields = ["reference_copy"]

    def get_queryset(self, _request: HttpRequest) -> QuerySet:
        """Return every exam, not only those of the default manager."""
        return Exam.everything.all()


@admin.register(Copy)
class CopyAdmin(admin.ModelAdmin):
    """Copies with their state."""

    list_display = ["anonymous_id", "exam", "status", "score"]
    list_filter = ["status"]
    raw_id_fields = ["exam", "student", "locked_by"]


@admin.register(Annotation, Booklet, GradingEvent)
class PartOfCopyAdmin(admin.ModelAdmin):
    """Rows so many that their copy cannot be chosen from a list."""

    raw_id_fields = ["copy"]


admin.site.register([Note, Profile, Student])
