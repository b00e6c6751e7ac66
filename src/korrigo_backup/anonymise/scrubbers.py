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
    class. `value` is the provider of faker, or that value. `plain`: the scrubber has no further arguments. `near` is
    the nearest rule of one that no rule equals, "" if none is near.
    """

    table: str
    column: str
    kind: str
    value: str = ""
    plain: bool = True
    near: str = ""

    @property
    def rule(self) -> str:
        """The rule that does the same, "" if there is none."""
        if self.kind == "Lorem":
            return f"constant:{_LOREM}"
        if self.kind == "text":
            return f"constant:{self.value}"
        if not self.plain:
            return ""
        if self.kind == "Faker":
            return f"faker:{self.value}"
        return {"Null": "null", "Empty": "empty", "Keep": "keep", "Hash": "hash"}.get(self.kind, "")


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
    """The declarations of the site's Django; `hooks` is its own class that scrubs, "" without one."""

    scrubbers: tuple[DeclaredScrubber, ...]
    fields: tuple[PersonalField, ...]
    locale: str = ""
    choices: tuple[ChoiceField, ...] = ()
    hooks: str = ""


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

    UsageError for scrubbers that no rule equals.
    """
    rules: dict[str, dict[str, str]] = {}
    unknown = []
    for one in found.scrubbers:
        if (one.table, one.column) in ruled:
            continue
        if one.rule:
            rules.setdefault(one.table, {})[one.column] = one.rule
        else:
            unknown.append(f"{one.table}.{one.column} ({one.kind})")
    if unknown:
        raise UsageError(
            f"no rule does the same as these scrubbers of the site: {first_of(unknown, 5)}",
            hint="korrigo-backup drill --anonymise suggest > rules.toml writes the nearest rule of each; look"
            " through the file, then name it: drill --anonymise rules.toml",
        )
    return rules


_ASK = """
import inspect, json
from datetime import date
from decimal import Decimal
from uuid import UUID
from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Value
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
    if isinstance(one, Value):
        one = one.value
        if one is None:
            return ["Null", "", True, ""]
    if isinstance(one, (str, int, float, Decimal, date, UUID)):
        return ["text", str(one), True, ""]
    if inspect.isroutine(one):
        return ["function " + one.__qualname__, "", False, ""]
    kind = one if inspect.isclass(one) else type(one)
    if not kind.__module__.startswith("django_scrubber."):
        return [kind.__module__ + "." + kind.__name__, "", False, ""]
    if kind.__name__ == "IfNotEmpty":
        return described(one.expression, field)
    if kind.__name__ == "Concat":
        parts = [described(part, field) for part in one.expressions]
        address = type(field).__name__ == "EmailField" or any(part[0] == "text" and "@" in part[1] for part in parts)
        fakes = ["faker:" + part[1] for part in parts if part[0] == "Faker"]
        hashes = ["hash" for part in parts if part[0] == "Hash"]
        return ["Concat", "", False, "faker:email" if address else (fakes + hashes + ["empty"])[0]]
    if kind.__name__ == "FakerArray":
        return ["FakerArray", "", False, "empty"]
    provider = str(getattr(one, "provider", "") or "")
    if kind.__name__ == "Faker":
        plain = not one.provider_args and not one.provider_kwargs
        own = any(hasattr(extra, provider) for extra in providers)
        return ["Faker", provider, plain and not own, "" if own else "faker:" + provider]
    other = kind.__name__ == "Hash" and not inspect.isclass(one) and (
        [getattr(of, "name", "") for of in one.get_source_expressions()] != [field.name]
    )
    return [kind.__name__, "", not other, "hash" if other else ""]
providers = [import_string(str(one)) for one in getattr(settings, "SCRUBBER_ADDITIONAL_FAKER_PROVIDERS", None) or ()]
hooks = getattr(settings, "SCRUBBER_SERVICE_CLASS", None) or ""
hooks = "" if hooks.startswith("django_scrubber.") else hooks
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
        if one and getattr(field, "column", None) and not field.many_to_many:
            kind, value, plain, near = described(one, field)
            scrubbers.append({"table": field.model._meta.db_table, "column": field.column,
                              "kind": kind, "value": value, "plain": plain, "near": near})
locale = str(getattr(settings, "SCRUBBER_FAKER_LOCALE", None) or settings.LANGUAGE_CODE or "")
head, _, tail = locale.replace("-", "_").partition("_")
locale = head + ("_" + tail.upper() if tail else "")
print("\\n" + json.dumps({"scrubbers": scrubbers, "fields": fields, "locale": locale, "choices": choices,
                         "hooks": hooks}))
"""
"""The settings and classes of django-scrubber 8, as its service of scrubbing reads them, without importing it."""
