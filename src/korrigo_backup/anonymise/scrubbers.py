"""The rules that a site declares as django-scrubber does, read by asking its Django, in the words of our rules.

They are translated. The site's own `scrub_data` is not run: it changes the database that the site's settings name,
which may be the live database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.errors import Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from korrigo_backup.site.manage import DjangoCommands

_LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore"
    " magna aliqua."
)


class DeclaredScrubber(msgspec.Struct, frozen=True):
    """A field, and the scrubber that its model or the settings declare for it.

    `kind` is the class of django-scrubber, `text` for a value that stands for itself, else the name of an unknown
    class. `value` is the provider of faker, or that value. `plain`: the scrubber has no further arguments.
    """

    table: str
    column: str
    kind: str
    value: str = ""
    plain: bool = True


class PersonalField(msgspec.Struct, frozen=True):
    """A field whose class tells its content: an address, a file."""

    table: str
    column: str
    kind: str


class ChoiceField(msgspec.Struct, frozen=True):
    """A field of text whose values are `choices` of its model."""

    table: str
    column: str
    choices: tuple[str, ...]


class DeclaredScrubbers(msgspec.Struct, frozen=True):
    """The declarations of the site's Django."""

    scrubbers: tuple[DeclaredScrubber, ...]
    fields: tuple[PersonalField, ...]
    locale: str = ""
    choices: tuple[ChoiceField, ...] = ()


def ask_scrubbers(django: DjangoCommands | None) -> DeclaredScrubbers:
    """Return the scrubbers of the site's models and settings. Raises Refused without a way to run manage.py."""
    if django is None:
        raise Refused(
            "the site's models cannot be asked: how manage.py is run is not configured",
            hint='set [django] manage = ["python", "manage.py"]',
            id_="django.absent",
        )
    return django.ask("shell", DeclaredScrubbers, "-c", _ASK)


def translated(found: DeclaredScrubbers, ruled: Collection[tuple[str, str]] = ()) -> dict[str, dict[str, str]]:
    """Return the declared scrubbers as rules by table and column, but for the columns that are `ruled` elsewhere.

    UsageError for scrubbers that no rule says.
    """
    rules: dict[str, dict[str, str]] = {}
    unknown = []
    for one in found.scrubbers:
        if (one.table, one.column) in ruled:
            continue
        rule = _rule(one)
        if rule:
            rules.setdefault(one.table, {}).setdefault(one.column, rule)
        else:
            unknown.append(f"{one.table}.{one.column} ({one.kind})")
    if unknown:
        raise UsageError(
            f"scrubbers of the site that no rule says: {first_of(unknown, 5)}",
            hint="give these columns a rule in a file with django = true",
        )
    return rules


def _rule(one: DeclaredScrubber) -> str:
    if one.kind == "Lorem":
        return f"constant:{_LOREM}"
    if one.kind == "text":
        return f"constant:{one.value}"
    if not one.plain:
        return ""
    if one.kind == "Faker":
        return f"faker:{one.value}"
    return {"Null": "null", "Empty": "empty", "Keep": "keep", "Hash": "hash"}.get(one.kind, "")


_ASK = """
import inspect, json
from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.utils.module_loading import import_string
wide = getattr(settings, "SCRUBBER_GLOBAL_SCRUBBERS", None) or {}
mapping = getattr(settings, "SCRUBBER_MAPPING", None) or {}
only = getattr(settings, "SCRUBBER_APPS_LIST", None)
unmanaged = not getattr(settings, "SCRUBBER_SKIP_UNMANAGED", True)
def declared(model):
    found = {}
    for field in model._meta.local_fields:
        for key in (field.name, type(field)):
            if key in wide:
                found[field] = wide[key]
                break
    label = model._meta.label
    own = import_string(mapping[label]) if label in mapping else getattr(model, "Scrubbers", None)
    for name, one in inspect.getmembers(own) if own else ():
        if not name.startswith("_"):
            try:
                found[model._meta.get_field(name)] = one
            except FieldDoesNotExist:
                pass
    return found
def described(one, field):
    if isinstance(one, str):
        return ["text", one, True]
    kind = one if inspect.isclass(one) else type(one)
    ours = kind.__module__.startswith("django_scrubber.")
    if not ours:
        return [kind.__module__ + "." + kind.__name__, "", False]
    if kind.__name__ == "IfNotEmpty":
        return described(one.expression, field)
    more = getattr(one, "provider_args", ()) or getattr(one, "provider_kwargs", ())
    if kind.__name__ == "Hash" and not inspect.isclass(one):
        more = [getattr(of, "name", "") for of in one.get_source_expressions()] != [field.name]
    return [kind.__name__, str(getattr(one, "provider", "") or ""), not more]
scrubbers, fields, choices = [], [], []
for model in apps.get_models():
    if model._meta.proxy or not (model._meta.managed or unmanaged):
        continue
    for field in model._meta.local_concrete_fields:
        if field.get_internal_type() in ("FileField", "ImageField") or type(field).__name__ == "EmailField":
            kind = "email" if type(field).__name__ == "EmailField" else "file"
            fields.append({"table": model._meta.db_table, "column": field.column, "kind": kind})
        values = [value for value, _ in field.flatchoices]
        if values and all(isinstance(value, str) for value in values):
            choices.append({"table": model._meta.db_table, "column": field.column, "choices": values})
    if only and model._meta.app_config.name not in only:
        continue
    for field, one in declared(model).items():
        if one:
            kind, value, plain = described(one, field)
            scrubbers.append({"table": field.model._meta.db_table, "column": field.column,
                              "kind": kind, "value": value, "plain": plain})
locale = str(getattr(settings, "SCRUBBER_FAKER_LOCALE", None) or settings.LANGUAGE_CODE or "")
head, _, tail = locale.replace("-", "_").partition("_")
locale = head + ("_" + tail.upper() if tail else "")
print("\\n" + json.dumps({"scrubbers": scrubbers, "fields": fields, "locale": locale, "choices": choices}))
"""
"""The settings and classes of django-scrubber 8, as its service of scrubbing reads them, without importing it."""
