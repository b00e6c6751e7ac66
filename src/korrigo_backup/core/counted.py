"""Numbers with their nouns in messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 table, 2,500 tables. `plural` is the noun with an s unless it is given."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def rows_by_table(numbers: Mapping[str, int]) -> list[str]:
    """Return the number of rows of each table in words: 2 rows of public.exam."""
    return [f"{counted(number, 'row')} of {table}" for table, number in numbers.items()]
