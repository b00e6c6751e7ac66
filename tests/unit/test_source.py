"""The shape of the source: short functions, large files with a reason, module names that exist."""

import ast
import re
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "korrigo_backup"
MODULES = sorted(SOURCE.rglob("*.py"))
LARGE = 300
LONGEST = 50
OF_THE_SITE = {"manage.py", "settings.py"}
"""Files that messages and docstrings name, but that are the site's."""


def test_a_file_is_short_or_gives_the_reason_in_its_docstring():
    texts = {str(path.relative_to(SOURCE)): path.read_text(encoding="utf-8") for path in MODULES}
    large = {name: text for name, text in texts.items() if text.count("\n") > LARGE}
    assert large
    assert not [
        name for name, text in large.items() if "\n\nOne file: " not in (ast.get_docstring(ast.parse(text)) or "")
    ]


def test_a_function_fits_on_a_screen():
    long = [
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.body[0].lineno + 1 > LONGEST
    ]
    assert not long


def test_a_module_that_the_source_names_exists():
    there = [f"/{path.relative_to(SOURCE)}" for path in MODULES]
    missing = [
        f"{path.relative_to(SOURCE)}: {name}"
        for path in MODULES
        for name in re.findall(r"(?<![\w./-])(?:\w+/)*\w+\.py\b", path.read_text(encoding="utf-8"))
        if name not in OF_THE_SITE and not any(one.endswith(f"/{name}") for one in there)
    ]
    assert not missing


def test_a_class_has_a_name_of_its_own():
    """A Django command must be called Command."""
    names = [
        node.name
        for path in MODULES
        if "management" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_the_scripts_of_the_package_are_those_of_the_project():
    """The wheel brings its own, which `init --scripts` installs."""
    project, package = (
        {path.name: path.read_bytes() for path in (place / "scripts").iterdir()}
        for place in (SOURCE.parents[1], SOURCE)
    )
    assert project
    assert project == package
