"""One row of settings, always saved under the key 1, and pages whose image is named in a text column."""

from django.db import models


class PlatformSettings(models.Model):
    """The settings of the platform: `save` never asks the sequence for a key."""

    school = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.school

    def save(self, *args: object, **kwargs: object) -> None:
        """Save it as row 1, whatever was asked."""
        self.pk = 1
        super().save(*args, **kwargs)


class Page(models.Model):
    """One page, with the path of its image below the media directory."""

    image_path = models.TextField()
    number = models.PositiveIntegerField()

    def __str__(self) -> str:
        return self.image_path
