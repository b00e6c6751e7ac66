"""Extraction of our texts for gettext: Babel calls `extract` for each source file (messages/babel.cfg).

A text is a string of the source, or an f-string, that reads like a sentence: two words or more. Its placeholders are
named after the expressions. A conditional between two constant strings inside an f-string makes a text for each case,
so that translators see whole sentences.
"""

from __future__ import annotations

import ast
import itertools
import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BytesIO

MOST_CASES = 12
"""An f-string with more cases than this keeps its conditionals as placeholders."""

MOST_LINES = 3
"""A string with more line ends than this is a script or a list of words."""

_SQL = re.compile(
    r"^[\s({]*(SELECT|INSERT|WITH|ALTER|CREATE|DROP|SET|COPY|UPDATE|DELETE|LOCK|BEGIN|COMMIT|GRANT|REVOKE|COMMENT|FROM"
    r"|WHERE|AND|OR|ORDER|GROUP|JOIN|LEFT|UNION|VALUES|RESET|TRUNCATE|ANALYZE|DECLARE|FETCH|CASE|EXISTS|NOT|IF|ROLLBACK"
    r"|REASSIGN|REINDEX|REFRESH|RETURNING|LIMIT|ON|USING|AS|NULL|CAST|SAVEPOINT|RELEASE|DO|ARRAY|pg_\w+)\b(?! an? )"
)
_CODE = re.compile(
    r"::\w|\bpg_catalog\.|[$]\{|[\\][a-zA-Z.(\[]|;;|==|\bWHERE\b|\bFROM\b|\bSELECT\b|^\s*(?:[#<\[%]|-[A-Za-z0-9])|^[a-z_]+\(|\t"
)
_WORD = re.compile(r"[A-Za-z][a-z']+")
_FORMAT = re.compile(r"\{([a-z_]*)\}")
_LETTERS = re.compile(r"[A-Za-z]{2}")
_CALLS_WITHOUT_TEXT = frozenset(
    {"compile", "match", "search", "sub", "fullmatch", "split", "replace", "strftime", "strptime", "getattr", "setattr",
     "startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "execute", "phase", "query"}
)  # fmt: skip


_SHOWN_KEYWORDS = frozenset({"help", "short_help", "epilog", "rich_help_panel"})
_SHOWN_FUNCTIONS = frozenset({"say_table"})


class Text(NamedTuple):
    """A text with its line. `names` are the expressions of its placeholders, in order."""

    line: int
    text: str
    names: tuple[str, ...] = ()


class _Hole(NamedTuple):
    name: str


_Piece: TypeAlias = "str | _Hole"


def extract(
    file: BytesIO, keywords: object, comment_tags: object, options: object
) -> Iterator[tuple[int, str, str | tuple[str, ...], list[str]]]:
    """Yield the texts of a source file as Babel wants them: line, function, message, comments.

    With the option `help`, docstrings of functions are texts too, a text a paragraph: typer prints them. With the
    option `literal`, the strings of TEXTS are templates already.
    """
    del keywords, comment_tags
    asked = options if isinstance(options, dict) else {}
    source = file.read().decode()
    for text in literal(source) if asked.get("literal") else texts(source, with_help=bool(asked.get("help"))):
        yield text.line, "", text.text, []


def texts(source: str, *, with_help: bool = False) -> list[Text]:
    """Return the texts of a Python source, in the order of their lines; a text may occur more than once."""
    tree = ast.parse(source)
    silent = _docstrings(tree) | _arguments_without_text(tree) | _helps(tree)
    found: list[Text] = [*_shown_alone(tree), *_of_numbers(tree), *(_help(tree) if with_help else ())]
    _collect(tree, silent, found)
    return sorted(found)


def _of_numbers(tree: ast.Module) -> Iterator[Text]:
    """Yield the two texts of a number with its noun, `counted(number, "file")`: for one, and for several."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Name(id="counted" | "with_noun"), args=[_, ast.Constant(value=str() as noun), *rest]
            ):
                plural = str(rest[0].value) if rest and isinstance(rest[0], ast.Constant) else f"{noun}s"
                yield Text(node.lineno, f"1 {noun}")
                yield Text(node.lineno, f"{{number}} {plural}", ("number",))
            case _:
                pass


def literal(source: str) -> list[Text]:
    """Return the strings of a module's tuple TEXTS."""
    assigned = next(node for node in ast.parse(source).body if isinstance(node, ast.Assign))
    return [
        Text(node.lineno, node.value)
        for node in ast.walk(assigned.value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def _collect(node: ast.AST, silent: set[int], found: list[Text]) -> None:
    if id(node) in silent:
        return
    if cases := _cases(node):
        for pieces in cases:
            text, names = _named(pieces)
            if _is_prose(text):
                found.append(Text(getattr(node, "lineno", 1), text, names))
        for child in ast.walk(node):  # texts inside of placeholders
            if isinstance(child, ast.FormattedValue) and not (len(cases) > 1 and _of_constants(child.value)):
                _collect(child.value, silent, found)
        return
    for child in ast.iter_child_nodes(node):
        _collect(child, silent, found)


def _help(tree: ast.Module) -> Iterator[Text]:
    """Yield the paragraphs of the docstrings of verbs and their actions, each on one line."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _is_verb(node):
            yield from _paragraphs(node.lineno, ast.get_docstring(node) or "")


def _is_verb(node: ast.FunctionDef) -> bool:
    """Return whether typer calls a function: its help is then the docstring."""
    takes_context = any(one.annotation and ast.unparse(one.annotation) == "typer.Context" for one in node.args.args)
    return node.name == "command" or bool(node.decorator_list) or (takes_context and not node.name.startswith("_"))


def _paragraphs(line: int, text: str) -> Iterator[Text]:
    for paragraph in text.split("\n\n"):
        if words := paragraph.split():
            yield Text(line, _escaped(" ".join(words) if "\n" in text else paragraph))


def _helps(tree: ast.Module) -> set[int]:
    """Return the nodes that `_shown_alone` reads."""
    words = [word for node in ast.walk(tree) if isinstance(node, ast.Call) for word in node.keywords]
    return {id(word.value) for word in words if word.arg in _SHOWN_KEYWORDS and isinstance(word.value, ast.Constant)}


def _shown_alone(tree: ast.Module) -> Iterator[Text]:
    """Yield strings that are shown by themselves, also single words: help, panels, headers of tables."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        shown: list[ast.expr] = [word.value for word in node.keywords if word.arg in _SHOWN_KEYWORDS]
        if isinstance(node.func, ast.Name) and node.func.id in _SHOWN_FUNCTIONS:
            shown += node.args[:1]
        for one in shown:
            for inner in ast.walk(one):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and _LETTERS.search(inner.value):
                    yield from _paragraphs(inner.lineno, inner.value)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _cases(node: ast.AST) -> list[list[_Piece]]:
    """Return the pieces of a string in each of its cases; [] for a node that is no string with constant parts."""
    match node:
        case ast.Constant(value=str() as text):
            return [_of_format(text)]
        case ast.JoinedStr(values=values):
            parts = [_constant(one) or _cases(one) or [[_Hole("value")]] for one in values]
            return _product(parts)
        case ast.FormattedValue(value=value):
            return _of_placeholder(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right) if _has_constant(left) or _has_constant(right):
            return _product([_cases(left) or [[_Hole(_name(left))]], _cases(right) or [[_Hole(_name(right))]]])
        case _:
            return []


def _of_placeholder(value: ast.expr) -> list[list[_Piece]]:
    if isinstance(value, ast.IfExp):
        return [
            pieces for branch in (value.body, value.orelse) for pieces in (_cases(branch) or [[_Hole(_name(branch))]])
        ]
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):  # {'more than ' * least}
        for side in (value.left, value.right):
            if isinstance(side, ast.Constant) and isinstance(side.value, str):
                return [[side.value], [""]]
    return [[_Hole(_name(value))]]


def _constant(node: ast.expr) -> list[list[_Piece]]:
    """Return the text between the placeholders of an f-string, whose own braces are only braces."""
    return [[node.value]] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _of_format(text: str) -> list[_Piece]:
    """Return the pieces of a string whose placeholders `str.format` fills later: {name} or {}."""
    pieces: list[_Piece] = []
    for number, part in enumerate(_FORMAT.split(text)):
        if number % 2:
            pieces.append(_Hole(part or "value"))
        elif part:
            pieces.append(part)
    return pieces or [text]


def _of_constants(value: ast.expr) -> bool:
    """Return whether the cases of a placeholder are constant strings, which stand in the cases of its text."""
    match value:
        case ast.IfExp(body=ast.Constant(), orelse=ast.Constant()):
            return True
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in (left, right))
        case _:
            return False


def _product(parts: list[list[list[_Piece]]]) -> list[list[_Piece]]:
    number = 1
    for part in parts:
        number *= len(part)
    if number > MOST_CASES:
        parts = [part if len(part) == 1 else [[_Hole("words")]] for part in parts]
    return [[piece for pieces in chosen for piece in pieces] for chosen in itertools.product(*parts)]


def _has_constant(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _has_constant(left) or _has_constant(right)
        case _:
            return False


def _name(node: ast.expr) -> str:  # noqa: PLR0911 - a case for each kind of expression
    """Return a name for the value of an expression, from its last name: `human(step.size)` is size."""
    match node:
        case ast.Name(id=name):
            return name.strip("_") or "value"
        case ast.Attribute(attr=name):
            return name.strip("_")
        case ast.Call(func=ast.Attribute(value=value, attr="join")) if node.args:
            return _name(node.args[0]) if not isinstance(node.args[0], ast.GeneratorExp) else "names"
        case ast.Call(args=[first, *_]):
            return _name(first)
        case ast.Call(func=func):
            return _name(func)
        case ast.Subscript(value=value):
            return _name(value)
        case ast.BoolOp(values=[first, *_]) | ast.BinOp(left=first):
            return _name(first)
        case _:
            return "value"


def _named(pieces: list[_Piece]) -> tuple[str, tuple[str, ...]]:
    """Return a text with its placeholders named, each differently: braces of the text itself are doubled."""
    names: list[str] = []
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += _escaped(piece)
            continue
        name, number = piece.name, 1
        while name in names:
            number += 1
            name = f"{piece.name}{number}"
        names.append(name)
        text += "{" + name + "}"
    return text, tuple(names)


def _is_prose(text: str) -> bool:
    literal = re.sub(r"(?<!\{)\{[^{}]*\}", " ", text)
    words = _WORD.findall(literal)
    if len(words) < 2 and not (words and "{" in text and re.search(r"(^| )[A-Za-z][a-z]+( |$|[.,;:])", literal)):  # noqa: PLR2004
        return False
    is_script = text.startswith("\n") or text.count("\n") > MOST_LINES
    return not (is_script or _SQL.search(text) or _CODE.search(text)) and " " in text


def _docstrings(tree: ast.AST) -> set[int]:
    """Return the nodes of strings that are statements: docstrings, also those of attributes."""
    return {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def _arguments_without_text(tree: ast.AST) -> set[int]:
    """Return the arguments of calls, and annotations, that hold no text for people."""
    silent: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _CALLS_WITHOUT_TEXT:
                silent.update(id(one) for one in node.args)
            case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=ast.expr() as annotation):
                if isinstance(annotation, ast.Constant):
                    silent.add(id(annotation))
            case ast.Raise(exc=ast.Call(func=ast.Name(id="AssertionError" | "ValueError" | "TypeError"))):
                silent.add(id(node.exc))
    return silent
