"""A kind of artifact is one row: its names, its content, its retention; no other module decides on it alone."""

import ast
from pathlib import Path

import pytest

import korrigo_backup
from korrigo_backup.artifact.kinds import KINDS, Kind, Origin
from korrigo_backup.artifact.naming import compose, parse
from korrigo_backup.retention.policy import Policy, Rule

SOURCES = Path(korrigo_backup.__file__).parent
TABLE = SOURCES / "artifact" / "kinds.py"
STAMP = "20260204_030000"


def names_a_kind(node):
    return any(
        isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id == "Kind"
        for one in ast.walk(node)
    )


def nodes(kind):
    for path in SOURCES.rglob("*.py"):
        if path != TABLE:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, kind):
                    yield f"{path.relative_to(SOURCES)}:{node.lineno}", node


def test_no_module_compares_a_kind():
    assert [place for place, node in nodes(ast.Compare) if names_a_kind(node)] == []


def test_no_module_has_a_table_of_kinds_of_its_own():
    keyed = [place for place, node in nodes(ast.Dict) if any(key and names_a_kind(key) for key in node.keys)]
    assert keyed == []


def test_a_match_of_kinds_has_no_silent_rest():
    found = {
        place: ast.unparse(node.cases[-1])
        for place, node in nodes(ast.Match)
        if any(names_a_kind(case.pattern) for case in node.cases)
    }
    assert found
    assert [place for place, last in found.items() if "assert_never" not in last] == []


def test_every_kind_has_a_row():
    assert set(KINDS) == set(Kind)


def test_every_kind_is_made_by_routine():
    assert [kind for kind, spec in KINDS.items() if Origin.ROUTINE not in spec.prefixes] == []


def test_no_two_prefixes_or_labels_are_equal():
    prefixes = [prefix for spec in KINDS.values() for prefix in spec.prefixes.values()]
    labels = [spec.label for spec in KINDS.values()]
    assert (len(set(prefixes)), len(set(labels))) == (len(prefixes), len(labels))


def test_an_ending_is_of_one_kind():
    endings = [ending for spec in KINDS.values() for ending in spec.endings]
    assert sorted(endings) == sorted(set(endings))


@pytest.mark.parametrize("kind", Kind)
def test_a_name_is_read_as_the_kind_it_was_made_for(kind):
    parsed = [parse(compose(kind, origin, STAMP)) for origin in KINDS[kind].prefixes]
    assert [(one.kind, one.origin) for one in parsed if one] == [(kind, origin) for origin in KINDS[kind].prefixes]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_rule_of_retention(kind):
    assert isinstance(Policy().rule(KINDS[kind].rule), Rule)


@pytest.mark.parametrize("kind", [kind for kind, spec in KINDS.items() if spec.components])
def test_a_set_of_artifacts_is_removed_before_its_components(kind):
    assert KINDS[kind].removal < min(KINDS[one].removal for one in KINDS[kind].components)
