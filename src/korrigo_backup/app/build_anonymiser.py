"""Build an anonymiser from a file of rules or from the site's models, and suggest such a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.anonymise.anonymise import Anonymiser
from korrigo_backup.anonymise.columns import CATALOG, CopyTable
from korrigo_backup.anonymise.found_values import searched_rules
from korrigo_backup.anonymise.rules import LOCALE, Act, RulesFile, plain_table, read_rules, rules_of
from korrigo_backup.anonymise.scrubbers import ask_scrubbers, translated
from korrigo_backup.anonymise.suggest import FoundRules, SiteFields, declared_reasons, named_rules, suggested
from korrigo_backup.anonymise.values import open_fakes
from korrigo_backup.errors import KorrigoBackupError, NotFound, UsageError
from korrigo_backup.site.path_columns import known_columns

if TYPE_CHECKING:
    from korrigo_backup.site.site import Site

DJANGO = "django"
"""The word in the place of a file for the rules of the site's models."""


def anonymiser(site: Site, source: str) -> Anonymiser:
    """Return the anonymiser of a file of rules, or of `django`.

    Raises NotFound and UsageError for a bad file, Refused without faker or without a way to ask the site.
    """
    file = RulesFile(django=True) if source == DJANGO else _read(Path(source))
    declared, locale, hooks = {}, "", ""
    if file.django:
        found = ask_scrubbers(site.django)
        ruled = {(plain_table(table), column) for table, columns in file.tables.items() for column in columns}
        declared, locale, hooks = translated(found, ruled), found.locale, found.hooks
    rules = rules_of(file, declared, locale=locale)
    if not rules.columns:
        none = "the site's models declare no rules" if source == DJANGO else f"{source} has no rules"
        raise UsageError(none, hint="korrigo-backup drill --anonymise suggest prints a file of rules to begin with")
    if rules.providers:
        open_fakes(rules.providers, rules.locale)
    if not any(rule.act is Act.FILES for columns in rules.columns.values() for rule in columns.values()):
        return Anonymiser(rules, hooks=hooks)
    known = known_columns(site)
    return Anonymiser(rules, known.columns, known.roots, hooks)


def suggestion(site: Site) -> str:
    """Return a file of rules for the live database, by the names and the values of its columns.

    The site's Django is asked for its fields where that is possible.
    """
    locale, fields = LOCALE, SiteFields({(one.table, one.column): "path" for one in known_columns(site).columns})
    try:
        found = ask_scrubbers(site.django)
    except KorrigoBackupError:
        pass  # names and values alone
    else:
        fields = SiteFields(
            {**fields.kinds, **{(one.table, one.column): one.kind for one in found.fields}},
            {(one.table, one.column): one.choices for one in found.choices},
            {(one.table, one.column): one for one in found.scrubbers},
        )
        locale = found.locale or locale
    tables = site.postgres.ask(CATALOG, tuple[CopyTable, ...])
    try:
        rules = searched_rules(site.postgres, tables, fields)
    except KorrigoBackupError as problem:
        rules = FoundRules(named_rules(tables, fields), declared_reasons(tables, fields), problem=problem.message)
    return suggested(tables, rules, locale)


def _read(path: Path) -> RulesFile:
    try:
        return read_rules(path.read_bytes(), str(path))
    except OSError as problem:
        raise NotFound(
            f"the file of rules {path} cannot be read: {problem.strerror}",
            hint=f"korrigo-backup drill --anonymise suggest > {path}",
            id_="",
        ) from None
