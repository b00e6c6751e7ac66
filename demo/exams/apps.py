"""The Django application of the exams."""

from django.apps import AppConfig
from django.contrib.auth import get_user_model
from django.db.models.signals import post_save


class ExamsConfig(AppConfig):
    """Gives every new user a profile, as Korrigo does."""

    name = "exams"
    verbose_name = "Examens"

    def ready(self) -> None:
        """Connect the signal once the models are loaded."""
        from exams.signals import create_profile  # noqa: PLC0415 - models are not loaded before ready()

        post_save.connect(create_profile, sender=get_user_model(), dispatch_uid="exams.create_profile")
