"""Rows about people: users with groups, permissions and profiles, and students."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from django.contrib.auth.models import Group, Permission, User

from exams.models import Profile, Student
from exams.seeding.plan import Size
from exams.seeding.vocabulary import CLASSES, FIRST_NAMES, LAST_NAMES

ADMIN_ID = 1
TEACHERS = 40
TEACHER_IDS = range(ADMIN_ID + 1, ADMIN_ID + 1 + TEACHERS)
# The password "korrigo-demo", hashed once: hashing it for each user would take longer than the seed.
PASSWORD = "pbkdf2_sha256$1000000$KorrigoDemoSalt0000001$vLRclo5sVQxjqiuKaHIV10pBv2Fw7LturD7bUMXp1ho="
HIRED = datetime(2023, 9, 1, 6, 30, 0, 123456, tzinfo=UTC)
STAFF = {"password": PASSWORD, "is_staff": True, "date_joined": HIRED}

TEACHER, CORRECTOR = "Teachers", "Correctors"
ACTIONS = {
    "Admins": ("add", "change", "delete", "view"),
    TEACHER: ("add", "change", "view"),
    CORRECTOR: ("view",),
}


def users(size: Size) -> Iterator[User]:
    """Yield the superuser "admin" and the teachers; some have never logged in, one has left."""
    yield User(id=ADMIN_ID, username="admin", is_superuser=True, email="admin@lycee.example", **STAFF)
    rng = size.stream("users")
    for pk, last_name in zip(TEACHER_IDS, LAST_NAMES, strict=False):
        first_name = rng.choice(FIRST_NAMES)
        seen = HIRED + timedelta(days=rng.randrange(400), microseconds=rng.randrange(10**10))
        yield User(
            id=pk,
            username=f"{first_name}.{last_name}".lower().replace(" ", "_").replace("'", ""),
            first_name=first_name,
            last_name=last_name,
            email=f"prof{pk}@lycee.example",
            is_active=pk != TEACHER_IDS[-1],
            last_login=seen if pk % 5 else None,
            **STAFF,
        )


def profiles(size: Size) -> Iterator[Profile]:
    """Yield a profile for each user, numbered backwards: its key is not the one the signal would give."""
    rng = size.stream("profiles")
    for pk, user in enumerate(reversed((ADMIN_ID, *TEACHER_IDS)), start=1):
        role = Profile.Role.ADMIN if user == ADMIN_ID else rng.choice(Profile.Role.values[:2])
        yield Profile(id=pk, user_id=user, role=role, signature=rng.randbytes(400) if pk % 3 else None)


def group_permissions() -> Iterator[Group.permissions.through]:
    """Yield what each group may do with the exams."""
    groups = dict(Group.objects.values_list("name", "id"))
    permissions = Permission.objects.filter(content_type__app_label="exams").order_by("codename")
    for name, actions in ACTIONS.items():
        for permission in permissions:
            if permission.codename.startswith(actions):
                yield Group.permissions.through(group_id=groups[name], permission_id=permission.pk)


def memberships() -> Iterator[User.groups.through]:
    """Yield the groups of each user: all teach, every third corrects for others too."""
    groups = dict(Group.objects.values_list("name", "id"))
    yield User.groups.through(user_id=ADMIN_ID, group_id=groups["Admins"])
    for pk in TEACHER_IDS:
        for name in (TEACHER, CORRECTOR) if pk % 3 == 0 else (TEACHER,):
            yield User.groups.through(user_id=pk, group_id=groups[name])


def user_permissions() -> Iterator[User.user_permissions.through]:
    """Yield a permission that a few teachers hold in person."""
    permission = Permission.objects.get(content_type__app_label="exams", codename="delete_note")
    for pk in TEACHER_IDS[:5]:
        yield User.user_permissions.through(user_id=pk, permission_id=permission.pk)


def students(size: Size) -> Iterator[Student]:
    """Yield the students."""
    rng = size.stream("students")
    for pk in range(1, size.students + 1):
        yield Student(
            id=pk,
            first_name=rng.choice(FIRST_NAMES),
            last_name=rng.choice(LAST_NAMES),
            email=f"eleve{pk:05d}@lycee.example",
            birth_date=date(2006, 1, 1) + timedelta(days=rng.randrange(1400)),
            class_name=rng.choice(CLASSES),
        )
