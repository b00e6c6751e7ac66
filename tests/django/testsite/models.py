"""Awkward models: each is a way in which backups of Django sites have lost data."""

# ruff: noqa: DJ008, RUF012, ARG002 - written as sites write them, and their names say what they are

import uuid

from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField
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
