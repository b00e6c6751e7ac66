"""Translation of a finished English text: its template is found again among the texts of the catalogue.

Every text is English in journals, JSON, manifests and on its way from a container to the host. It is translated where
it is printed (docs/decisions/0048). A template is a text of the source with named placeholders: `{rows} rows of
{table}`. Their values are translated in the same way: one text often stands in another.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from korrigo_backup.translation.agreement import PLACEHOLDER, agreeing, agrees, is_quantity
from korrigo_backup.translation.numbers import in_french

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

_DEEPEST = 6
"""Texts inside of texts are translated up to this depth."""

_LONGEST = 4000
"""A line with more characters is data, and is not looked up."""

_WORDS = frozenset(
    {"doing", "word", "words", "part", "verb", "unit", "state", "outcome", "emptied", "kind", "level", "label", "hands",
     "authenticity", "problem", "origin", "how", "at", "later", "place", "until", "stays", "does", "now"}
)  # fmt: skip
"""Placeholders whose value may be a single word of ours."""

_VOWELS = frozenset("aeiouyhâàéèêëîïôûœ")
_ELIDED = re.compile(r"(?<=\b[dD])e $|(?<=\bqu)e $")
_WORD = re.compile(r"[A-Za-z]+")
_DECORATION = re.compile(r"^((?:\s*\[[ x]\] )?[^\w(\"'`]*)(.*?)(\s*)$", re.DOTALL)
_COUNTED = re.compile(r"\d[\d,]* [a-z]+(?: [a-z]+){0,2}(?: of [\w.]+)?,?|\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?")
"""A number with its noun, or a time, which stands for a word in a text."""

_LABEL = re.compile(r"^\W*\w+(?:: |  +)$")
_MESSAGE_LABEL = re.compile(r"^\W*(?:error|warning|hint|state|detail|contact): ")
"""The beginning of a line of a message."""

_MARKED = re.compile(r"^(?:[^\w\s(\"'`]\S*\s|\s{2,}\w)")
"""The beginning of a text with a mark, or with the space of a list."""

_LABELLED = re.compile(r"^(\S+(?: \S+)*?)(  +)(\S.*)$")
"""A line of a list: a label, padded to the width of its column, and a value."""

_JOINS = ("; and ", "; then ", "; ", ". ", ": ", ", ", " (")
"""Signs between texts that the program joins, in the order in which a line is taken apart."""


class _Template(NamedTuple):
    """A text with placeholders. `literal` counts the characters outside of them.

    The values of a `narrow` template are single words, or numbers with a noun: its constant part is a single word,
    too, which stands in many other texts. A `fixed` template stays English. Words of an `agreeing` translation follow a
    number among the values.
    """

    literal: int
    narrow: bool
    fixed: bool
    agreeing: bool
    pieces: tuple[str, ...]
    names: tuple[str, ...]
    translation: str


class Translator:
    """The texts of one language, by their English templates."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._whole: dict[str, str] = {}
        self._by_anchor: dict[str, list[_Template]] = {}
        self._known: dict[str, str] = {}
        texts = {**_without_a_first_constant(texts), **texts}
        templates = []
        for text, translation in texts.items():
            pieces, names = split(text)
            if names:
                templates.append((text, pieces, names, translation))
            else:
                self._whole[pieces[0]] = _filled(translation, {})
        frequent = Counter(word for _, pieces, _, _ in templates for word in set(_bounded_words(pieces)))
        for text, pieces, names, translation in templates:
            literal, fixed = sum(map(len, pieces)), translation == text
            template = _Template(
                literal, _is_narrow(pieces), fixed, agrees(translation), tuple(pieces), names, translation
            )
            anchor = min(_bounded_words(pieces), key=lambda word: (frequent[word], -len(word)), default="")
            self._by_anchor.setdefault(anchor, []).append(template)

    def __call__(self, text: str) -> str:
        """Return a text in this language; parts without a translation stay as they are."""
        if (known := self._known.get(text)) is not None:
            return known
        found = self._text(text, 0)
        translated = in_french(found) if found != text else text  # a line of the runbook, and data, stay as they are
        if len(self._known) < _LONGEST:
            self._known[text] = translated
        return translated

    def _text(self, text: str, depth: int) -> str:
        whole = self._one(text, depth)
        if whole is not None:
            return whole
        if "\n" in text:
            return "\n".join(self._text(line, depth) for line in text.split("\n"))
        parts = self._parts(text, depth)
        if parts == text and (whole := self._one(text, depth, with_marks=True)) is not None:
            return whole  # a value that looks like a mark: a pattern of files, nothing
        return parts

    def _one(self, text: str, depth: int, *, with_marks: bool = False) -> str | None:
        """Return the translation of a text of the catalogue, None of another. `with_marks`: a value may be a mark."""
        if depth > _DEEPEST or len(text) > _LONGEST or not text:
            return None
        if (whole := self._whole.get(text)) is not None:
            return whole
        marked = not with_marks and (
            bool((match := _DECORATION.match(text)) and match[1]) or bool(_MESSAGE_LABEL.match(text))
        )
        several = None
        for template in self._candidates(text):
            if marked and not template.pieces[0]:
                continue  # a mark, a label or a space before a text is no part of its first value
            found = _values(text, template.pieces)
            if found is not None and self._fits(found, template) and not self._joins_texts(text, template):
                if not _holds_a_join(found, template.pieces):
                    return self._from(template, found, depth)
                several = several or (template, found)
        if several is None:
            return None
        parts = [self._one(part, depth + 1) for part in text.split("; ")]
        known = [part for part in parts if part is not None]
        return self._whole.get("; ", "; ").join(known) if len(known) == len(parts) else self._from(*several, depth)

    def _fits(self, values: Sequence[str], template: _Template) -> bool:
        """Return whether values can be those of a template: single words, or not a label with its value."""
        if template.agreeing and (
            not any(map(is_quantity, values)) or any(re.search(r", \d", value) for value in values)
        ):
            return False
        if template.narrow:
            return all(
                " " not in value.strip() or value in self._whole or _COUNTED.fullmatch(value) or piece[-2:] == "  "
                for piece, value in zip(template.pieces, values, strict=False)
            )
        return not any(
            "  " in value.strip()
            or (value[:1] == " " == piece[-1:])
            or (template.fixed and ("; " in value or " (" in value))
            for piece, value in zip(template.pieces, values, strict=False)
        )

    def _joins_texts(self, text: str, template: _Template) -> bool:
        """Return whether the first value of a template would begin with a whole text, to which others are joined."""
        begins = (text[: match.start()] for match in re.finditer("[:;] ", text))
        return not template.pieces[0] and any(" " in begin and begin in self._whole for begin in begins)

    def _from(self, template: _Template, found: Sequence[str], depth: int) -> str:
        """Return the translation of a template with the values that were found."""
        values = {name: self._value(name, value, depth + 1) for name, value in zip(template.names, found, strict=True)}
        translated = {name for name, value in zip(template.names, found, strict=True) if values[name] != value}
        return _filled(template.translation, values, translated)

    def _value(self, name: str, value: str, depth: int) -> str:
        """Return the translation of a value. A single word is mostly a name, of a table or a file: it stays."""
        if " " not in value.strip():
            word = value.rstrip()
            is_ours = name.rstrip("0123456789") in _WORDS and word in self._whole
            padded = len(value) if word != value else 0
            return self._whole[word].ljust(padded) if is_ours else value
        return self._text(value, depth)

    def _candidates(self, text: str) -> list[_Template]:
        words = {*_WORD.findall(text), ""}
        found = [template for word in words for template in self._by_anchor.get(word, ())]
        return sorted(found, key=lambda template: -template.literal)

    def _parts(self, text: str, depth: int) -> str:
        """Return a line with those of its parts translated that the catalogue has: after a mark, between joins."""
        if depth > _DEEPEST or " " not in text:
            return text
        match = _DECORATION.match(text)
        before, inner, after = match.groups() if match else ("", text, "")
        if (before or after) and inner:
            return f"{before}{self._text(inner, depth + 1)}{after}"
        if (match := _LABELLED.match(inner)) and (match[1] in self._whole or " " not in match[1]):
            label, width = self._whole.get(match[1], match[1]), len(match[1]) + len(match[2])
            return f"{label.ljust(width - 1)} {self._text(match[3], depth + 1)}"
        return self._joined(text, depth)

    def _joined(self, text: str, depth: int) -> str:
        """Return texts that the program joins: the longest beginning that is one text, then the rest.

        A beginning without values is certain, and is taken before a longer one with values; a comma or a bracket may
        stand inside of a text.
        """
        joins = sorted((match.start(), join) for join in _JOINS for match in re.finditer(re.escape(join), text))
        for is_certain in (True, False):
            for at, join in reversed(joins):
                begin, rest = text[:at], text[at + len(join) :]
                if (" " not in begin and not (is_certain and join == ": ")) or (is_certain and join in {", ", " ("}):
                    continue
                known = self._whole.get(begin) if is_certain else self._one(begin, depth + 1)
                if known is not None:
                    return f"{known}{self._whole.get(join, join)}{self._text(rest, depth)}"
        for join in _JOINS:
            if join in text:
                parts = text.split(join)
                translated = [self._text(part, depth + 1) if " " in part else part for part in parts]
                return self._whole.get(join, join).join(translated) if translated != parts else text
        return text


def split(text: str) -> tuple[list[str], tuple[str, ...]]:
    """Return the constant parts of a template and the names of the placeholders between them."""
    pieces, names, last = [""], [], 0
    for match in PLACEHOLDER.finditer(text):
        pieces[-1] += text[last : match.start()]
        last = match.end()
        if name := match[1]:
            names.append(name)
            pieces.append("")
        else:
            pieces[-1] += match[0][0]
    pieces[-1] += text[last:]
    return pieces, tuple(names)


def _filled(translation: str, values: Mapping[str, str], translated: Collection[str] = ()) -> str:
    """Return a translation with its values; `de` and `que` are elided before one that is a word of ours."""
    parts, last = [], 0
    translation = agreeing(translation, values)
    for match in PLACEHOLDER.finditer(translation):
        parts.append(translation[last : match.start()])
        last = match.end()
        value = values.get(match[1], "") if match[1] else match[0][0]
        if match[1] in translated and value[:1].lower() in _VOWELS:
            parts[-1] = _ELIDED.sub("'", parts[-1])
        parts.append(value)
    return "".join([*parts, translation[last:]])


def _without_a_first_constant(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the rests of texts that begin with a constant of the source, which is a text, too: `{HOW}; the rest`."""
    found = {}
    for text, translation in texts.items():
        begin, _, rest = text.partition("; ")
        if re.fullmatch(r"\{[A-Z_]+\}", begin) and translation.startswith(f"{begin} ; "):
            found[rest] = translation.removeprefix(f"{begin} ; ")
    return found


def _is_narrow(pieces: Sequence[str]) -> bool:
    literal = "|".join(pieces)
    if _MARKED.match(pieces[0]):
        return False
    return len(set(re.findall(r"[A-Za-z]{2,}", literal))) <= 1 and not _LABEL.match(pieces[0]) and ": " not in literal


def _values(text: str, pieces: tuple[str, ...]) -> list[str] | None:
    """Return the parts of a text between the constant parts of a template, None if it is not made from it.

    Each constant part is taken where it first occurs. A value is never longer than a line.
    """
    first, *middle, last = pieces
    if not text.startswith(first) or not text.endswith(last):
        return None
    begin, end, values = len(first), len(text) - len(last), []
    for piece in middle:
        at = text.find(piece, begin, end)
        if at < 0:
            return None
        values.append(text[begin:at])
        begin = at + len(piece)
    values.append(text[begin:end])
    return values if begin <= end and not any("\n" in value for value in values) else None


def _holds_a_join(values: Sequence[str], pieces: Sequence[str]) -> bool:
    """Return whether a value between two constant parts is several texts that the program has joined."""
    return any("; " in value and pieces[at] and pieces[at + 1] for at, value in enumerate(values))


def _bounded_words(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the words that stand whole in the constant parts: a value next to them cannot make them longer."""
    pieces = list(pieces)
    for number, piece in enumerate(pieces):
        for match in _WORD.finditer(piece):
            open_before = number > 0 and match.start() == 0
            open_after = number < len(pieces) - 1 and match.end() == len(piece)
            if not open_before and not open_after:
                yield match[0]
