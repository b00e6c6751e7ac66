"""Disconnects when every other app is ready: it stands last in INSTALLED_APPS."""

import os

from django.apps import AppConfig
from django.contrib.auth import get_user_model
from django.db.models.signals import post_save


class QuietConfig(AppConfig):
    """Silence for `loaddata` and the former command, when RIVAL_WITHOUT_SIGNALS is set."""

    name = "quiet"

    def ready(self):
        """Disconnect the signal that makes profiles."""
        if os.environ.get("RIVAL_WITHOUT_SIGNALS"):
            post_save.disconnect(sender=get_user_model(), dispatch_uid="exams.create_profile")
