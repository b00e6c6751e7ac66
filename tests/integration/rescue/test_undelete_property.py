"""Random graphs of rows, deleted as Django deletes and edited afterwards: undelete brings back exactly what belongs.

The expected rows are computed here, by plain loops over dictionaries; no code of the product decides about them.
"""

import os
from dataclasses import replace
from typing import Any

import pytest

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.core.site_description import DatabaseName, DeclaredRelation, Description, TableName
from korrigo_backup.errors import Refused
from korrigo_backup.rescue.undelete import UndeleteOptions, undelete
from property_testing import event, given, settings, st
from sandbox import Sandbox, drop_database

EXAMPLES = int(os.environ.get("KORRIGO_TEST_UNDELETE", "12"))

SCHEMA = """
CREATE TABLE node (id int PRIMARY KEY, name text NOT NULL UNIQUE, above int REFERENCES node, twin int REFERENCES node);
CREATE TABLE base (id int PRIMARY KEY, label text);
CREATE TABLE child (id int PRIMARY KEY REFERENCES base, node int REFERENCES node);
CREATE TABLE item (id int PRIMARY KEY, node int NOT NULL REFERENCES node, child int REFERENCES child);
CREATE TABLE node_item (id int PRIMARY KEY, node int NOT NULL REFERENCES node, item int NOT NULL REFERENCES item);
CREATE TABLE lefty (id int PRIMARY KEY, item int REFERENCES item, righty int);
CREATE TABLE righty (id int PRIMARY KEY, lefty int NOT NULL REFERENCES lefty);
ALTER TABLE lefty ADD FOREIGN KEY (righty) REFERENCES righty;
CREATE TABLE django_content_type (id int PRIMARY KEY, app_label text, model text);
CREATE TABLE note (id int PRIMARY KEY, kind int NOT NULL, object text NOT NULL);
INSERT INTO django_content_type VALUES (1, 'app', 'item'), (2, 'app', 'node');
"""
COLUMNS = {
    "node": ("id", "name", "above", "twin"),
    "base": ("id", "label"),
    "child": ("id", "node"),
    "item": ("id", "node", "child"),
    "node_item": ("id", "node", "item"),
    "lefty": ("id", "item", "righty"),
    "righty": ("id", "lefty"),
    "note": ("id", "kind", "object"),
}
CASCADE, SET_NULL, LINK, GENERIC = "cascade", "set null", "parent link", "generic relation"
ITEM = 1
"""The content type of an item, the only one whose model declares its notes as a GenericRelation."""
REFERENCES = [
    ("node", "above", "node", SET_NULL), ("node", "twin", "node", CASCADE), ("child", "id", "base", LINK),
    ("child", "node", "node", SET_NULL), ("item", "node", "node", CASCADE), ("item", "child", "child", SET_NULL),
    ("node_item", "node", "node", CASCADE), ("node_item", "item", "item", CASCADE), ("lefty", "item", "item", CASCADE),
    ("lefty", "righty", "righty", CASCADE), ("righty", "lefty", "lefty", CASCADE), ("note", "object", "item", GENERIC),
]  # fmt: skip


class Described:
    """Stands for a site's Django that knows which reference is a parent link, and which pair of columns is one."""

    description = "a test"

    def ask(self, *_):
        link = DeclaredRelation(TableName("child"), ("id",), TableName("base"), ("id",), parent_link=True)
        notes = DeclaredRelation(
            TableName("note"), ("object",), TableName("item"), ("id",), type_column="kind", content_type=("app", "item")
        )
        database = DatabaseName("postgresql", "x", "")
        return Description(
            django="5", python="3", database=database, media_root="", users=TableName(""), relations=(link, notes)
        )


@st.composite
def graphs(draw):
    """Rows of each table by id; references are to any row of their table, also in circles."""
    count = {name: draw(st.integers(1, 5)) for name in COLUMNS}
    count["child"] = min(count["child"], count["base"])
    rows: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in COLUMNS}
    optional = {(t, c) for t, c, _, _ in REFERENCES} - {
        ("item", "node"), ("node_item", "node"), ("node_item", "item"), ("righty", "lefty"),
    }  # fmt: skip
    targets = {(t, c): to for t, c, to, how in REFERENCES if how not in {LINK, GENERIC}}
    for table, columns in COLUMNS.items():
        for number in range(1, count[table] + 1):
            row: dict[str, Any] = {"id": number}
            for column in columns[1:]:
                if to := targets.get((table, column)):
                    some = st.integers(1, count[to])
                    row[column] = draw(st.none() | some if (table, column) in optional else some)
                elif table == "note":
                    row[column] = (
                        draw(st.integers(1, 2)) if column == "kind" else str(draw(st.integers(1, count["item"])))
                    )
                else:
                    row[column] = f"{table} {number}"
            rows[table][number] = row
    return rows


def referred(row, column, how):
    """The key of the row that a row refers to; None for none, and for an object of another content type."""
    if how == GENERIC:
        return int(row[column]) if row["kind"] == ITEM else None
    return row[column]


def copied(rows):
    return {table: {key: dict(row) for key, row in those.items()} for table, those in rows.items()}


def deleted(rows, table, key):
    """Delete an object as Django's collector does: cascades, SET NULL, both ends of a parent link."""
    gone, waiting = set(), [(table, key)] if key in rows[table] else []
    while waiting:
        place = waiting.pop()
        gone.add(place)
        for child, column, to, how in REFERENCES:
            if to == place[0] and how != SET_NULL:
                others = {
                    (child, number) for number, row in rows[child].items() if referred(row, column, how) == place[1]
                }
                waiting += others - gone
            if child == place[0] and how == LINK and (to, place[1]) not in gone:
                waiting.append((to, place[1]))
    for name, number in gone:
        del rows[name][number]
    for child, column, to, _ in (one for one in REFERENCES if one[3] == SET_NULL):
        for row in rows[child].values():
            row[column] = None if (to, row[column]) in gone else row[column]


def expected(then, live, table, key):
    """The rows that belong to an object: those deleted with it, and those that they need."""
    gone = {(name, number) for name, those in then.items() for number in those if number not in live[name]}
    marks = {(table, key): 2}
    changed = True
    while changed:
        changed = False
        for child, column, to, how in REFERENCES:
            for number, row in then[child].items():
                low, high = (child, number), (to, referred(row, column, how))
                if low not in gone or high not in gone:
                    continue
                up, down = marks.get(high, 0), marks.get(low, 0)
                wanted_low = up if how == LINK else (2 if up == 2 else 0)
                wanted_high = down if how == LINK else min(down, 1)
                for place, mark in ((low, wanted_low), (high, wanted_high)):
                    if marks.get(place, 0) < mark:
                        marks[place] = mark
                        changed = True
    return {place for place, mark in marks.items() if mark}


def possible(then, live, belongs):
    """Those of the rows that the live database takes: without taken names, and what refers to a row that stays away."""
    names = {row["name"] for row in live["node"].values()}
    stay = {place for place in belongs if place[0] != "node" or then["node"][place[1]]["name"] not in names}
    while True:
        lacking = {
            (child, number)
            for child, column, to, how in REFERENCES
            for number, row in then[child].items()
            if (child, number) in stay and how != GENERIC and row[column] is not None
            if row[column] not in live[to] and (to, row[column]) not in stay
        }
        if not lacking:
            return stay
        stay -= lacking


def write(site, rows):
    with site.connect() as connection, connection.transaction():
        connection.execute(f"TRUNCATE {', '.join(COLUMNS)}")
        empty = {("node", "above"), ("node", "twin"), ("lefty", "righty")}
        for table in ("node", "base", "child", "item", "node_item", "lefty", "righty", "note"):
            for row in rows[table].values():
                values = [None if (table, c) in empty else row[c] for c in COLUMNS[table]]
                marks = ", ".join(["%s"] * len(values))
                connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)
        for table, column in sorted(empty):
            for row in rows[table].values():
                connection.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", [row[column], row["id"]])


def read(site):
    return {
        table: {
            row[0]: dict(zip(columns, row, strict=True))
            for row in site.sql(f"SELECT {', '.join(columns)} FROM {table}")
        }
        for table, columns in COLUMNS.items()
    }


@pytest.fixture(scope="module")
def graph_site(server, tmp_path_factory):
    made = Sandbox(server, "viatique_graphs", tmp_path_factory.mktemp("graphs") / "site")
    made.create(SCHEMA)
    yield made
    drop_database(server, "viatique_graphs")


@settings(max_examples=EXAMPLES)
@given(graph=graphs(), data=st.data())
def test_exactly_the_rows_that_belong_to_an_object_come_back(graph_site, graph, data):
    site = graph_site
    for path in site.backups.glob("*") if site.backups.exists() else ():
        path.unlink()
    write(site, graph)
    dump = site.backup()
    live = copied(graph)
    roots = [(table, key) for table in COLUMNS for key in graph[table]]
    for place in data.draw(st.lists(st.sampled_from(roots), min_size=1, max_size=3)):
        deleted(live, *place)
    lost = [place for place in roots if place[1] not in live[place[0]]]
    root = data.draw(st.sampled_from(lost))
    for row in live["node"].values():  # later edits: other values, and names of deleted nodes used again
        edit = data.draw(st.sampled_from(["nothing", "other", "taken"]))
        free = [one["name"] for number, one in graph["node"].items() if number not in live["node"]]
        used = {one["name"] for one in live["node"].values()}
        if edit == "other":
            row["name"] = f"new {row['id']}"
        elif edit == "taken" and set(free) - used:
            row["name"] = min(set(free) - used)
    live["node"][100] = {"id": 100, "name": "newcomer", "above": None, "twin": None}
    write(site, live)
    belongs = expected(graph, live, *root)
    stay, skip = possible(graph, live, belongs), data.draw(st.booleans())
    wired = site.wired()
    at = replace(wired.site(), django=Described())
    options = UndeleteOptions((f"{root[0]}:{root[1]}",), source=str(dump), skip=skip)
    if not stay or (stay != belongs and not skip):
        event("refused")
        with pytest.raises(Refused) as refused:
            undelete(at, wired.catalog, options, now=local_now(), confirm=lambda _: True)
        assert skip or refused.value.id == "undelete.conflict"
        assert read(site) == live
        return
    event("brought back whole" if stay == belongs else "brought back in part")
    plan = undelete(at, wired.catalog, options, now=local_now(), confirm=lambda _: True)
    assert plan.count == len(stay)
    after = copied(live)
    for table, key in stay:
        after[table][key] = graph[table][key]
    assert read(site) == after
