"""The rules of an anonymised copy: their form in a file, and the effect of each of them on a column."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.credentials import SESSIONS_AND_TOKENS
from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMS = "faker:PROVIDER, hash, null, empty, constant:TEXT, keep, files:remove, files:placeholder, files:rename"

LOCALE = "en_US"
"""The language and country of faker's values where nothing names another."""

EMPTIED = (*SESSIONS_AND_TOKENS, "django_admin_log")
"""Tables with sessions, tokens and the admin's log; emptied unless a file names others."""

OF_THE_CODE = frozenset({"django_content_type", "auth_permission", "django_migrations"})
"""Tables whose rows Django makes from the code: their words are not searched, and their columns need no rule."""


class Act(StrEnum):
    """How a rule changes the values of its column."""

    FAKER = "faker"
    HASH = "hash"
    NULL = "null"
    EMPTY = "empty"
    CONSTANT = "constant"
    KEEP = "keep"
    FILES = "files"


class FileAct(StrEnum):
    """How files are changed; `rename` is a placeholder under a name that says nothing."""

    KEEP = "keep"
    REMOVE = "remove"
    PLACEHOLDER = "placeholder"
    RENAME = "rename"


_WITH_ARGUMENT = {Act.FAKER, Act.CONSTANT, Act.FILES}


@dataclass(frozen=True)
class ColumnRule:
    """A rule; `argument` is the provider of faker, the constant, or the `FileAct`."""

    act: Act
    argument: str = ""

    @property
    def text(self) -> str:
        """The rule as a file has it."""
        return f"{self.act}:{self.argument}" if self.act in _WITH_ARGUMENT else str(self.act)


def parse_rule(text: str, where: str) -> ColumnRule:
    """Return the rule of a text; UsageError, which names the column `where`, if it is none."""
    act, colon, argument = text.partition(":")
    known = act in set(Act) and bool(colon) == (Act(act) in _WITH_ARGUMENT)
    if known and act == Act.FAKER:
        known = argument.isidentifier()
    if known and act == Act.FILES:
        known = argument in {FileAct.REMOVE, FileAct.PLACEHOLDER, FileAct.RENAME}
    if not known:
        raise UsageError(f"{where}: {text!r} is no rule", hint=f"write one of: {FORMS}")
    return ColumnRule(Act(act), argument)


class RulesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of rules (TOML). `tables` holds the rule of each column by table or model.

    `django`: the rules that the site's models declare hold, too; those of the file win. `accept` names columns
    (TABLE.COLUMN) in which original values may stay.
    """

    strict: bool = False
    django: bool = False
    locale: str = ""
    empty: tuple[str, ...] = EMPTIED
    accept: tuple[str, ...] = ()
    other_files: FileAct = FileAct.KEEP
    tables: dict[str, dict[str, str]] = {}


@dataclass(frozen=True)
class Rules:
    """Rules by table (as the file names it) and column."""

    columns: Mapping[str, Mapping[str, ColumnRule]]
    strict: bool = False
    locale: str = LOCALE
    empty: tuple[str, ...] = EMPTIED
    accept: frozenset[str] = field(default_factory=frozenset)
    other_files: FileAct = FileAct.KEEP

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers of faker that are used."""
        rules = (rule for columns in self.columns.values() for rule in columns.values())
        return tuple(sorted({rule.argument for rule in rules if rule.act is Act.FAKER}))


def read_rules(text: bytes, name: str) -> RulesFile:
    """Return the content of a file of rules; UsageError if it is none."""
    try:
        return msgspec.toml.decode(text, type=RulesFile)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as problem:
        raise UsageError(
            f"{name} is no file of rules: {problem}",
            hint="see docs/how-to/anonymised-copy.md; korrigo-backup drill --anonymise suggest prints one",
        ) from None


def rules_of(file: RulesFile, declared: Mapping[str, Mapping[str, str]] | None = None, *, locale: str = "") -> Rules:
    """Return the rules of a file, and below them those that the site's models declare, with the site's `locale`."""
    columns: dict[str, dict[str, ColumnRule]] = {}
    for source in (declared or {}, file.tables):
        for table, given in source.items():
            known = columns.setdefault(plain_table(table), {})
            known.update({column: parse_rule(text, f"{table}.{column}") for column, text in given.items()})
    return Rules(
        columns,
        strict=file.strict,
        locale=file.locale or locale or LOCALE,
        empty=tuple(map(plain_table, file.empty)),
        accept=frozenset(map(_plain_column, file.accept)),
        other_files=file.other_files,
    )


def plain_table(name: str) -> str:
    """Return the table of a model (`exams.Student`: exams_student); a table's own name stays.

    A model's name has a capital letter; `schema.table` has none.
    """
    app, dot, model = name.partition(".")
    return f"{app}_{model.lower()}" if dot and model[:1].isupper() else name


def _plain_column(name: str) -> str:
    """Return TABLE.COLUMN for the column of a model or a table (`exams.Student.email`: exams_student.email)."""
    table, dot, column = name.rpartition(".")
    return f"{plain_table(table)}{dot}{column}"
