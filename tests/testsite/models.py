"""Awkward models: each is a way in which backups of Django sites have lost data."""

# ruff: noqa: DJ008, RUF012, ARG002 - written as sites write them, and their names say what they are

import uuid

import django
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres import fields as pg
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.signals import post_save


class VisibleOnly(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(hidden=False)


class Tag(models.Model):
    code = models.CharField(max_length=20, primary_key=True)

    class Meta:
        db_table = "Upper Case Tag"


class Everything(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    hidden = models.BooleanField(default=False)
    moment = models.DateTimeField(null=True)
    day = models.DateField(null=True)
    clock = models.TimeField(null=True)
    span = models.DurationField(null=True)
    amount = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    ratio = models.FloatField(null=True)
    blob = models.BinaryField(null=True)
    data = models.JSONField(null=True)
    address = models.GenericIPAddressField(null=True)
    text = models.TextField(default="")
    file = models.FileField(null=True)
    changed = models.DateTimeField(auto_now=True)
    tags = models.ManyToManyField(Tag)
    notes = GenericRelation("Note")

    objects = VisibleOnly()

    class Meta:
        base_manager_name = "objects"
        ordering = ["-moment"]


class NoObjects(models.Model):
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    order = models.IntegerField(db_column="Order", default=0)
    rows = models.Manager()


class Left(models.Model):
    right = models.ForeignKey("Right", models.CASCADE, null=True)


class Right(models.Model):
    left = models.ForeignKey(Left, models.CASCADE)


class Base(models.Model):
    name = models.CharField(max_length=30)


class Child(Base):
    age = models.IntegerField()


class GrandChild(Child):
    class Meta:
        db_table = "GRAND_child"


class NamedType(ContentType):
    """Stands below ContentType: its primary key is the number of a content type."""

    nickname = models.CharField(max_length=30)
    objects = models.Manager()


class TypeSettings(models.Model):
    type = models.OneToOneField(ContentType, models.CASCADE, primary_key=True)
    colour = models.CharField(max_length=10)


class Grant(models.Model):
    permission = models.ForeignKey(Permission, models.CASCADE)
    settings = models.ForeignKey(TypeSettings, models.CASCADE, null=True)


class Note(models.Model):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.CharField(max_length=64)
    target = GenericForeignKey()
    text = models.TextField()


class Club(models.Model):
    name = models.CharField(max_length=30)
    members = models.ManyToManyField(User, through="Membership")


class Membership(models.Model):
    club = models.ForeignKey(Club, models.CASCADE)
    user = models.ForeignKey(User, models.CASCADE)
    since = models.DateField()


class Profile(models.Model):
    user = models.OneToOneField(User, models.CASCADE)
    bio = models.CharField(max_length=30, default="made by a signal")


class Loose(models.Model):
    """Refers to a user who may be gone: there is no constraint."""

    user = models.ForeignKey(User, models.DO_NOTHING, db_constraint=False)


class Shouted(models.CharField):
    """A custom field: kept in capitals in the database, in small letters in Python."""

    def from_db_value(self, value, expression, connection):
        return value and value.lower()

    def get_prep_value(self, value):
        return value and value.upper()


class Custom(models.Model):
    word = Shouted(max_length=30)


class OnlyPostgres(models.Model):
    numbers = ArrayField(models.IntegerField(), null=True)
    during = DateTimeRangeField(null=True)

    class Meta:
        required_db_vendor = "postgresql"


class Lists(models.Model):
    """Types of PostgreSQL that go through `value_to_string`."""

    words = ArrayField(models.CharField(max_length=30, null=True), null=True)
    table = ArrayField(ArrayField(models.IntegerField()), null=True)
    moments = ArrayField(models.DateTimeField(), null=True)
    amounts = ArrayField(models.DecimalField(max_digits=9, decimal_places=3), null=True)
    spans = ArrayField(models.DurationField(), null=True)
    whole = pg.IntegerRangeField(null=True)
    big = pg.BigIntegerRangeField(null=True)
    decimal = pg.DecimalRangeField(null=True)
    days = pg.DateRangeField(null=True)

    class Meta:
        required_db_vendor = "postgresql"


class Beyond(models.Model):
    """What PostgreSQL holds and Python does not; written by SQL."""

    moment = models.DateTimeField(null=True)
    day = models.DateField(null=True)
    clock = models.TimeField(null=True)
    span = models.DurationField(null=True)
    amount = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    ratio = models.FloatField(null=True)
    one = models.JSONField(null=True)
    two = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    note = models.CharField(max_length=200, default="", db_column="It's Odd")

    class Meta:
        required_db_vendor = "postgresql"


class Country(models.Model):
    code = models.CharField(max_length=2, unique=True)


class Town(models.Model):
    """Refers to a column that is not the primary key."""

    country = models.ForeignKey(Country, models.CASCADE, to_field="code")


class Legacy(models.Model):
    """Unmanaged, over a table of its own that something else made: data."""

    id = models.AutoField(primary_key=True)
    text = models.CharField(max_length=30)

    class Meta:
        managed = False
        db_table = "Legacy Table"


class OverView(models.Model):
    """Unmanaged, over a view: not data."""

    name = models.CharField(max_length=30)

    class Meta:
        managed = False
        db_table = "a_view"


if django.VERSION >= (5, 0):

    class Doubled(models.Model):
        number = models.IntegerField()
        twice = models.GeneratedField(
            expression=models.F("number") * 2, output_field=models.IntegerField(), db_persist=True
        )
        given = models.IntegerField(db_default=7)


if django.VERSION >= (5, 2):

    class Seat(models.Model):
        pk = models.CompositePrimaryKey("row", "place")
        row = models.IntegerField()
        place = models.CharField(max_length=5)
        taken = models.BooleanField(default=False)


class Proxy(Base):
    class Meta:
        proxy = True


class View(models.Model):
    """Unmanaged, over nothing: not data."""

    class Meta:
        managed = False
        db_table = "there_is_no_such_table"


class Mirror(models.Model):
    """Unmanaged, over the table of another model: the same rows."""

    name = models.CharField(max_length=30)

    class Meta:
        managed = False
        db_table = "testsite_base"


def make_profile(sender, instance, created, using, **kwargs):
    if created:
        Profile.objects.using(using).create(user=instance)


post_save.connect(make_profile, sender=User, dispatch_uid="profile")
