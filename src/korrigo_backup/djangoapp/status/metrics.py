"""The view `/metrics`: the status in Prometheus' text format, for clients with the token and permitted staff.

It is off unless the site includes `korrigo_backup.djangoapp.urls`. Only manifests and the journal are read.
"""

from __future__ import annotations

import hmac
import os
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from korrigo_backup.djangoapp.location import backup_directory
from korrigo_backup.djangoapp.status.source import read
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.status.evaluate import evaluate
from korrigo_backup.status.metrics import CONTENT_TYPE, metrics

TOKEN = "KORRIGO_BACKUP_METRICS_TOKEN"  # noqa: S105 - the name of a setting
_PERMISSION = "korrigo_backup.view_backups"
_SCHEME = "bearer "
_PLAIN = "text/plain; charset=utf-8"


@require_safe
@never_cache
def view(request: Any) -> Any:
    """Answer with the metrics; 401 without a user or token, 403 without the permission, 503 without backups."""
    if not _knows_the_token(request):
        user = getattr(request, "user", None)  # a site without the middleware has only the token
        if user is None or not user.is_authenticated:
            return HttpResponse(
                "a bearer token is needed", status=401, headers={"WWW-Authenticate": "Bearer"}, content_type=_PLAIN
            )
        if not (user.is_active and user.is_staff and user.has_perm(_PERMISSION)):
            return HttpResponse("the permission to view backups is needed", status=403, content_type=_PLAIN)
    try:
        place = backup_directory()
        if place is None:
            return HttpResponse("KORRIGO_BACKUP_DIR is not set", status=503, content_type=_PLAIN)
        now = datetime.now(UTC)
        facts, goals = read(place, now=now)
    except (TypeError, ValueError, RuntimeError, KorrigoBackupError) as problem:
        return HttpResponse(str(problem), status=503, content_type=_PLAIN)
    return HttpResponse(metrics(evaluate(facts, goals, now=now)), content_type=CONTENT_TYPE)


def _knows_the_token(request: Any) -> bool:
    """Compare in constant time; without a token in settings or environment no request is accepted."""
    token = getattr(settings, TOKEN, None) or os.environ.get(TOKEN) or ""
    given = request.headers.get("Authorization", "")
    if not token or given[: len(_SCHEME)].lower() != _SCHEME:
        return False
    return hmac.compare_digest(given[len(_SCHEME) :].strip().encode(), token.encode())
