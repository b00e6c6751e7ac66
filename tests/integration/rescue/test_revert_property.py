"""Random tables, an accident, a backup, later edits: exactly the values of the accident are put back.

The expected rows are computed here, by plain loops over dictionaries; no code of the product decides about them.
"""

import os

import pytest

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.errors import NotFound, Refused
from korrigo_backup.rescue.undo_undelete import undo_undelete
from korrigo_backup.rescue.values.revert import RevertOptions, revert
from korrigo_backup.rescue.values.table import TableOptions, restore_tables
from property_testing import event, given, settings, st
from sandbox import Sandbox, drop_database

EXAMPLES = int(os.environ.get("KORRIGO_TEST_REVERT", "12"))

SCHEMA = """
CREATE TABLE thing (a int, b text, word text, number numeric, facts json, at timestamptz, list text[],
                    PRIMARY KEY (a, b));
CREATE TABLE other (id int PRIMARY KEY, word text);
"""
VALUES = {
    "word": ("", "x", "é\t\n\\.", "NULL", None),
    "number": ("1", "1.0", "1.00", "-7", None),
    "facts": ('{"a": 1}', '{"a":1}', "[]", "null", None),
    "at": ("2026-03-29 01:30:00+00", "2026-10-25 00:30:00.5+00", "infinity", None),
    "list": ("{}", '{"a b",NULL}', '{"{}"}', None),
}
COLUMNS = tuple(VALUES)

rows = st.fixed_dictionaries({name: st.sampled_from(some) for name, some in VALUES.items()})
keys = st.tuples(st.integers(1, 3), st.sampled_from(["", "k", "é,("]))
tables = st.dictionaries(keys, rows, min_size=1, max_size=6)


def changes(state):
    """Some rows of a table with other values, some deleted, some new."""
    return st.tuples(
        st.dictionaries(st.sampled_from(sorted(state)), rows.map(dict), max_size=4),
        st.lists(st.sampled_from(sorted(state)), max_size=1),
        st.dictionaries(keys, rows, max_size=1),
        st.sets(st.sampled_from(COLUMNS), min_size=1),
    )


def changed(state, drawn):
    values, gone, new, columns = drawn
    after = {key: dict(row) for key, row in state.items()}
    for key, row in values.items():
        after[key].update({name: row[name] for name in columns})
    for key in gone:
        after.pop(key, None)
    return {**{key: dict(row) for key, row in new.items() if key not in after}, **after}


def write(site, state):
    with site.connect() as connection, connection.transaction():
        connection.execute("TRUNCATE thing, other")
        connection.execute("INSERT INTO other SELECT n, 'w' || n FROM generate_series(1, 5) n")
        for (a, b), row in state.items():
            connection.execute(
                "INSERT INTO thing VALUES (%s, %s, %s, %s::text::numeric, %s::text::json, %s::text::timestamptz,"
                " %s::text::text[])",
                [a, b, *(row[name] for name in COLUMNS)],
            )


def read(site):
    texts = ", ".join(f"{name}::text" for name in COLUMNS)
    return {
        (a, b): dict(zip(COLUMNS, values, strict=True))
        for a, b, *values in site.sql(f"SELECT a, b, {texts} FROM thing")
    }


def normal(site, state):
    """The state as the server writes it."""
    write(site, state)
    return read(site)


@pytest.fixture(scope="module")
def thing_site(server, tmp_path_factory):
    made = Sandbox(server, "viatique_things", tmp_path_factory.mktemp("things") / "site")
    made.create(SCHEMA)
    yield made
    drop_database(server, "viatique_things")


def emptied(site):
    for path in [*site.backups.glob("*"), *site.backups.glob(".undelete-*")] if site.backups.exists() else ():
        path.unlink()


def expected(then, after, now, columns):
    """The rows after a revert, and the values in conflict; without `after` every value that differs is put back."""
    found, again = {key: dict(row) for key, row in now.items()}, set()
    for key, row in now.items():
        for name in columns if key in then else ():
            old, new = then[key][name], row[name]
            if new == old:
                continue
            if after is None or (key in after and new == after[key][name]):
                found[key][name] = old
            elif key not in after or after[key][name] != old:
                again.add((key, name))
    return found, again


@settings(max_examples=EXAMPLES)
@given(first=tables, data=st.data())
def test_exactly_the_values_of_the_accident_are_put_back(thing_site, first, data):
    site = thing_site
    emptied(site)
    then = normal(site, first)
    dump = site.backup()
    after = normal(site, changed(then, data.draw(changes(then))))
    saved = data.draw(st.booleans())
    accident = site.backup() if saved else None
    now = normal(site, changed(after, data.draw(changes(after or then)))) if after else after
    columns = data.draw(st.just(()) | st.sets(st.sampled_from(COLUMNS), min_size=1).map(lambda s: tuple(sorted(s))))
    options = RevertOptions(
        "thing", columns=columns, source=str(dump), accident=str(accident) if accident else None,
        stop=data.draw(st.booleans()),
    )  # fmt: skip
    wanted, again = expected(then, after if saved else None, now, columns or COLUMNS)
    others = site.sql("SELECT * FROM other ORDER BY 1")
    wired = site.wired()
    if (again and options.stop) or wanted == now:
        event("refused" if again and options.stop else "nothing")
        with pytest.raises((Refused, NotFound)):
            revert(wired.site(), wired.catalog, options, now=local_now(), confirm=lambda _: True)
        assert read(site) == now
        return
    event("put back, with conflicts" if again else "put back")
    plan = revert(wired.site(), wired.catalog, options, now=local_now(), confirm=lambda _: True)
    assert read(site) == wanted
    assert site.sql("SELECT * FROM other ORDER BY 1") == others
    assert {((int(one.key[0]), one.key[1]), one.column) for one in plan.conflicts} == again
    assert plan.count == sum(1 for key in now if now[key] != wanted[key])
    undo_undelete(wired.site(), wired.catalog, confirm=lambda _: True)
    assert read(site) == now


@settings(max_examples=EXAMPLES)
@given(first=tables, data=st.data())
def test_a_table_becomes_that_of_the_backup_and_goes_back(thing_site, first, data):
    site = thing_site
    emptied(site)
    then = normal(site, first)
    site.backup()
    now = normal(site, changed(then, data.draw(changes(then))))
    exact = data.draw(st.booleans())
    wanted = dict(then) if exact else {**now, **then}
    wired = site.wired()
    dump = wired.catalog.find("latest")
    options = TableOptions(("thing",), exact=exact)
    if wanted == now:
        event("nothing")
        with pytest.raises(NotFound):
            restore_tables(wired.site(), wired.catalog, dump, options, now=local_now(), confirm=lambda _: True)
        return
    event("exact" if exact else "newer rows kept")
    restore_tables(wired.site(), wired.catalog, dump, options, now=local_now(), confirm=lambda _: True)
    assert read(site) == wanted
    undo_undelete(wired.site(), wired.catalog, confirm=lambda _: True)
    assert read(site) == now
