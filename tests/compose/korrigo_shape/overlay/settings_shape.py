"""Settings of the shape: an application named core before all others, ours where SHAPE_APP puts it: first or last."""

import os

from korrigo_demo import settings as reference
from korrigo_demo.settings import *  # noqa: F403 - as sites build their settings

_PLACE = os.environ.get("SHAPE_APP", "")
_OURS = "korrigo_backup.djangoapp"
_SITE = ["core", *(name for name in reference.INSTALLED_APPS if name != _OURS)]

INSTALLED_APPS = {"first": [_OURS, *_SITE], "last": [*_SITE, _OURS]}.get(_PLACE, _SITE)
KORRIGO_BACKUP_PATH_COLUMNS = []
