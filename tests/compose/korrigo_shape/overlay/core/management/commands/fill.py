"""`manage.py fill`: the rows of core, made from the booklets of the reference site."""

from typing import Any

from django.core.management.base import BaseCommand

from core.models import Page, PlatformSettings
from exams.models import Booklet


class Command(BaseCommand):
    """Save the settings and a row a page image."""

    help = "Save the settings and a row a page image."

    def handle(self, **_: Any) -> None:
        """Do it; a second call changes nothing."""
        PlatformSettings(school="Lycée de l'essai").save()
        if not Page.objects.exists():
            paths = (path for names in Booklet.objects.values_list("pages_images", flat=True) for path in names)
            Page.objects.bulk_create(Page(image_path=path, number=n) for n, path in enumerate(paths, 1))
        self.stdout.write(f"{Page.objects.count()} pages")
