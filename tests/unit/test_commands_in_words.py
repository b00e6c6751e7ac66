"""A command in a message can be pasted: each name in it is quoted for the shell."""

import ast
import re
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "korrigo_backup"

FOLDERS = ("rescue", "requests", "erasure", "cli/rescue")
"""The folders whose commands name tables, columns, keys, conditions and media files, which may hold any character."""

COMMAND = re.compile(r"(?:korrigo-backup [a-z]|(?<![\w-])--[a-z])[\w-]*(?: [^\s;:,()]+)*[ =]$")
"""The end of a text after which a word of a command stands."""

SAFE = frozenset({"stamp", "id"})
"""Attributes that are made by the program, of digits and letters."""


def unquoted(text: str) -> list[tuple[int, str]]:
    """The words in commands of f-strings that were not quoted, each with its line."""
    tree = ast.parse(text)
    functions = {one.name: one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}
    homes = {id(inner): one for one in functions.values() for inner in ast.walk(one)}
    found = []
    for node in ast.walk(tree):
        words = ""
        for part in node.values if isinstance(node, ast.JoinedStr) else ():
            if isinstance(part, ast.FormattedValue):
                if COMMAND.search(words) and not _is_quoted(part.value, functions, homes.get(id(node))):
                    found.append((part.lineno, ast.unparse(part.value)))
                words += "\0"
            else:
                words += ast.literal_eval(part)
    return found


def _is_quoted(node: ast.expr, functions: dict[str, ast.FunctionDef], home: ast.FunctionDef | None) -> bool:
    if "quote" in ast.unparse(node) or (isinstance(node, ast.Attribute) and node.attr in SAFE):
        return True
    if isinstance(node, ast.Subscript):  # a part of it
        return _is_quoted(node.value, functions, home)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
        return "quote" in ast.unparse(functions[node.func.id])
    if not isinstance(node, ast.Name):
        return False
    made = [
        "quote" in ast.unparse(one.value)
        for one in ast.walk(home or ast.Module([], []))
        if isinstance(one, ast.Assign)
        and any(isinstance(name, ast.Name) and name.id == node.id for name in one.targets)
    ]
    return node.id.isupper() or (bool(made) and all(made))


def test_each_name_in_a_command_is_quoted_for_the_shell():
    bad = [
        f"{path.relative_to(SOURCE)}:{line}: {words}"
        for folder in FOLDERS
        for path in sorted((SOURCE / folder).rglob("*.py"))
        for line, words in unquoted(path.read_text(encoding="utf-8"))
    ]
    assert not bad


def test_a_name_that_is_not_quoted_is_found():
    assert unquoted('def f(x): return f"see korrigo-backup history --table {x} --changed"') == [(1, "x")]
    assert unquoted('def f(x):\n  y = quote(x)\n  return f"--from {y}; {x} stays"') == []
