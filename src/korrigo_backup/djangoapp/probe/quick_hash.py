"""A password hash of few rounds, for the user that a probe makes and removes: there is no time to guess it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.test.utils import override_settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_DEFAULT = "django.contrib.auth.hashers.PBKDF2PasswordHasher"


class QuickHasher(PBKDF2PasswordHasher):
    """Django's default with a thousandth of its rounds; Django's own class verifies its hashes."""

    iterations = 1000


def quick_passwords() -> AbstractContextManager[None]:
    """Let new passwords in the block have few rounds, where the site hashes by Django's default.

    Another hasher is left as it is: its library may be missing, which a trial of the login has to find.
    """
    hashers = list(settings.PASSWORD_HASHERS)
    if hashers[:1] == [_DEFAULT]:
        hashers.insert(0, f"{QuickHasher.__module__}.{QuickHasher.__qualname__}")
    found: AbstractContextManager[None] = override_settings(PASSWORD_HASHERS=hashers)
    return found
