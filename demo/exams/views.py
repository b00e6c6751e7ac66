"""Pages of the reference site: the list of exams and the health check."""

import logging

from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from exams.models import Exam

logger = logging.getLogger(__name__)


@require_safe
def exam_list(request: HttpRequest) -> HttpResponse:
    """Show the current exams."""
    return render(request, "exams/list.html", {"exams": Exam.objects.prefetch_related("teachers")})


@never_cache
@require_safe
def health(_request: HttpRequest) -> JsonResponse:
    """Say whether the database answers and holds the tables: 200, or 503 without any detail."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        exams = Exam.everything.count()
    except Error as error:
        logger.warning("health check: database not usable: %s", type(error).__name__)
        return JsonResponse({"status": "error", "database": "unavailable"}, status=503)
    return JsonResponse({"status": "ok", "database": "ok", "exams": exams})
