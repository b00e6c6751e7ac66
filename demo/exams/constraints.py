"""Check constraints under the name that the running Django gives their condition."""

import django
from django.db import models

CONDITION = "condition" if django.VERSION >= (5, 1) else "check"


def check(condition: models.Q, *, name: str) -> models.CheckConstraint:
    """Return the constraint `name`; Django 5.1 renamed the keyword `check` to `condition`."""
    return models.CheckConstraint(name=name, **{CONDITION: condition})
