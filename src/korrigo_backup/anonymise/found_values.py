"""Rules for the columns of the live database in which the check of a copy would find original values.

The search is that of a copy (`survivors.py`), in temporary tables of a session that is rolled back. A rule makes the
values of its column originals, too, so the search is repeated until it finds no other column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.anonymise.columns import CopyTable, Ruled, assign, obstacle
from korrigo_backup.anonymise.database import SETTINGS
from korrigo_backup.anonymise.originals import SHORT, gather_originals
from korrigo_backup.anonymise.rules import Rules, parse_rule
from korrigo_backup.anonymise.suggest import ColumnName, FoundRules, declared_reasons, named_rules, ruled_tables
from korrigo_backup.anonymise.survivors import PLANS, sources
from korrigo_backup.postgres.site_path import use_own_path
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.system.progress import Unit, Work, under_way

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from korrigo_backup.anonymise.columns import Assigned, CopyColumn
    from korrigo_backup.anonymise.suggest import SiteFields
    from korrigo_backup.postgres.client import Postgres, Session

_ADDRESS = r"[[:alnum:]_.+-]+@[[:alnum:]-]+(\.[[:alnum:]-]+)*\.[[:alpha:]]{2,}"
_CODE = r"[[:alnum:]_.+-]{1,40}"
_FEW = 12
"""The most values of a column of codes; each stands in `_OFTEN` rows on the average."""
_OFTEN = 5
_SENTENCE = 40
"""The fewest characters of a column that gets sentences; a shorter one gets words."""

CHOICES = "its values are choices of the model"
CODES = "few values, most of them no original: a list of codes?"


class ColumnValues(msgspec.Struct, frozen=True):
    """Counts of a column of text: its rows, its distinct `values`, and those among these that are so.

    `originals` are whole values of a ruled column, `addresses` mail addresses, `codes` single short words.
    """

    rows: int
    values: int
    originals: int
    addresses: int
    codes: int

    @property
    def is_code_list(self) -> bool:
        """Whether the values look like codes that the program knows, one of which happens to be an original."""
        few = self.values <= _FEW and self.rows >= _OFTEN * self.values
        return few and self.codes == self.values and 2 * self.originals <= self.values


def searched_rules(server: Postgres, tables: tuple[CopyTable, ...], fields: SiteFields) -> FoundRules:
    """Return the rules of the columns that look personal, and of those in which values of these are found."""
    with server.session(options=SETTINGS) as session:
        use_own_path(session)
        chosen = dict(_chosen(session, tables, fields.choices))
        rules = named_rules(tables, fields, chosen)
        accept = {name: CHOICES for name, has_word in chosen.items() if has_word}
        search = _RuleSearch(session, tables, rules, accept, declared_reasons(tables, fields))
        while search.finds():
            pass
    return FoundRules(search.rules, search.reasons, search.accept)


def _chosen(
    session: Session, tables: Iterable[CopyTable], choices: Mapping[tuple[str, str], tuple[str, ...]]
) -> Iterator[tuple[str, bool]]:
    """Yield the columns whose values are all choices of their models, with whether one of these is searched for."""
    for table in ruled_tables(tables)[0]:
        for column in table.columns:
            known = choices.get((table.table, column.name))
            if not known or not column.is_text:
                continue
            value, words = f"t.{identifier(column.name)}", ", ".join(map(literal, ("", *known)))
            others = f"SELECT FROM {table.sql} t WHERE {value} NOT IN ({words})"
            if not session.ask(f"SELECT to_json(EXISTS ({others}))", bool):
                yield f"{table.name}.{column.name}", any(len(one) > SHORT for one in known)


class _RuleSearch:
    """The rules so far, and the columns in which values are still looked for."""

    def __init__(
        self,
        session: Session,
        tables: tuple[CopyTable, ...],
        rules: dict[ColumnName, str],
        accept: dict[str, str],
        reasons: dict[ColumnName, str],
    ) -> None:
        self.session, self.tables = session, tables
        self.rules, self.accept = rules, accept
        self.reasons, self._unfit = reasons, set[ColumnName]()
        self._first = True

    def finds(self) -> bool:
        """Search once; return whether a column got a rule."""
        known = len(self.rules)
        self.session.run(f"BEGIN; {PLANS}")
        assigned = self._assigned()
        gather_originals(self.session, assigned)
        rules = {one.name: one.rule.text for one in assigned.ruled}
        searched = tuple(self._open())
        numbers = {name: number for number, name in enumerate(dict.fromkeys(table.name for table, _ in searched))}
        work = Work(name="searching the values of the database", unit=Unit.TABLES, number=len(numbers))
        with under_way(work):
            for table, column in searched:
                work.item, work.count = table.name, numbers[table.name]
                self._search(table, column, rules)
        self.session.run("ROLLBACK")
        self._first = False
        return len(self.rules) > known

    def _search(self, table: CopyTable, column: CopyColumn, rules: Mapping[str, str]) -> None:
        """Give a column a rule if its values are originals, or mail addresses."""
        held = sources(self.session, table, column, words=True)
        if held:
            self._decide(table, column, f"holds values of {held[0]}", rules[held[0]])
        elif self._first and self._has_address(table, column):
            self._decide(table, column, "holds mail addresses", "faker:email")

    def _assigned(self) -> Assigned:
        """Return the rules on their columns, but for keys and computed columns, which stay."""
        stay = {
            (table.name, column.name) for table in self.tables for column in table.columns
            if column.key or column.generated
        }  # fmt: skip
        columns: dict[str, dict[str, str]] = {}
        for (table, column), rule in self.rules.items():
            if (table, column) not in stay:
                columns.setdefault(table, {})[column] = rule
        parsed = {
            table: {column: parse_rule(rule, f"{table}.{column}") for column, rule in rules.items()}
            for table, rules in columns.items()
        }
        return assign(Rules(parsed), self.tables)

    def _open(self) -> Iterator[tuple[CopyTable, CopyColumn]]:
        for table in ruled_tables(self.tables)[0]:
            for column in table.columns:
                name = (table.name, column.name)
                done = name in self.rules or name in self._unfit or f"{table.name}.{column.name}" in self.accept
                if column.holds_words and not column.generated and not done:
                    yield table, column

    def _has_address(self, table: CopyTable, column: CopyColumn) -> bool:
        value = f"t.{identifier(column.name)}::text"
        return self.session.ask(
            f"SELECT to_json(EXISTS (SELECT FROM {table.sql} t WHERE {value} ~ {literal(_ADDRESS)}))", bool
        )

    def _decide(self, table: CopyTable, column: CopyColumn, reason: str, source: str) -> None:
        """Note the rule of a column with values of a column under the rule `source`."""
        values = self._values(table, column) if column.is_text else None
        if values and values.is_code_list:
            self.accept[f"{table.name}.{column.name}"] = CODES
            return
        name = (table.name, column.name)
        rule = next((one for one in candidates(column, source, values) if _fits(table, column, one)), "")
        if rule:
            self.rules[name], self.reasons[name] = rule, reason
        else:
            self._unfit.add(name)
            self.reasons[name] = f"{reason}, and no rule fits: empty its table, or name the column in accept"

    def _values(self, table: CopyTable, column: CopyColumn) -> ColumnValues:
        value = f"lower(btrim(t.{identifier(column.name)}::text))"
        return self.session.ask(
            "SELECT json_build_object('rows', coalesce(sum(d.n), 0), 'values', count(*),"
            " 'originals', count(o.value),"
            f" 'addresses', count(*) FILTER (WHERE d.v ~ {literal(f'^{_ADDRESS}$')}),"
            f" 'codes', count(*) FILTER (WHERE d.v ~ {literal(f'^{_CODE}$')}))"
            f" FROM (SELECT {value} AS v, count(*) AS n FROM {table.sql} t WHERE {value} <> '' GROUP BY 1) d"
            " LEFT JOIN pg_temp.original o ON o.value = d.v",
            ColumnValues,
        )


def candidates(column: CopyColumn, source: str, values: ColumnValues | None) -> Iterator[str]:
    """Yield the rules for a column that holds values of a column under the rule `source`, best first.

    A column that holds mostly such values gets the rule `source`, so that joins by value hold.
    """
    if values:
        if 2 * values.addresses >= values.values:
            yield "faker:email"
        if 2 * values.originals >= values.values and not source.startswith("files:"):
            yield source
        elif 2 * values.originals < values.values:
            yield "faker:sentence" if column.length is None or column.length >= _SENTENCE else "faker:word"
        yield "hash"
    yield from ("empty", "null")


def _fits(table: CopyTable, column: CopyColumn, rule: str) -> bool:
    return not obstacle(Ruled(table, column, parse_rule(rule, column.name)))
