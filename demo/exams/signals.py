"""What happens by itself when a user is saved."""

from typing import Any

from django.contrib.auth.models import User

from exams.models import Profile


def create_profile(instance: User, *, created: bool, **_rest: Any) -> None:
    """Give a new user a profile, also while a fixture is loaded.

    A plain `loaddata` therefore meets profiles that the fixture brings too, and fails on duplicates:
    the reference site keeps this trap of Korrigo on purpose.
    """
    if created:
        Profile.objects.create(user=instance)
