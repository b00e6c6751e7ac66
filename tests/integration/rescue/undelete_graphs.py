"""Random graphs of rows and later edits, written to a site and read back.

A graph has self references, circles, a many-to-many table with
a unique pair, inheritance over two levels, a generic relation, references that are emptied, set to a default,
protected, restricted and left alone (with and without a constraint), and composite keys that only the database knows.
A row has the number `id`, by which it is the same row; a place is its table and number.
"""

from random import Random
from typing import Any

from korrigo_backup.core.site_description import DatabaseName, DeclaredRelation, Description, TableName

SCHEMA = """
CREATE TABLE node (id int PRIMARY KEY, name text NOT NULL UNIQUE, above int REFERENCES node, twin int REFERENCES node);
CREATE TABLE base (id int PRIMARY KEY, label text);
CREATE TABLE child (id int PRIMARY KEY REFERENCES base, node int REFERENCES node);
CREATE TABLE grand (id int PRIMARY KEY REFERENCES child, word text);
CREATE TABLE item (id int PRIMARY KEY, node int NOT NULL REFERENCES node, child int REFERENCES child, scan text);
CREATE TABLE node_item (id int PRIMARY KEY, node int NOT NULL REFERENCES node, item int NOT NULL REFERENCES item,
                        UNIQUE (node, item));
CREATE TABLE guard (id int PRIMARY KEY, item int NOT NULL REFERENCES item, grand int REFERENCES grand, seal text UNIQUE);
CREATE TABLE lefty (id int PRIMARY KEY, item int REFERENCES item, righty int);
CREATE TABLE righty (id int PRIMARY KEY, lefty int NOT NULL REFERENCES lefty, guard int REFERENCES guard);
ALTER TABLE lefty ADD FOREIGN KEY (righty) REFERENCES righty;
CREATE TABLE django_content_type (id int PRIMARY KEY, app_label text, model text);
CREATE TABLE note (id int PRIMARY KEY, kind int NOT NULL, object text NOT NULL);
CREATE TABLE badge (id int PRIMARY KEY, node int DEFAULT 1 REFERENCES node);
CREATE TABLE mark (id int PRIMARY KEY, item int REFERENCES item);
CREATE TABLE trace (id int PRIMARY KEY, item int);
CREATE TABLE slot (org int, id int, node int REFERENCES node ON DELETE CASCADE, PRIMARY KEY (org, id));
CREATE TABLE seat (id int PRIMARY KEY, org int, slot int, FOREIGN KEY (org, slot) REFERENCES slot ON DELETE CASCADE);
INSERT INTO django_content_type VALUES (1, 'app', 'item'), (2, 'app', 'node');
"""
COLUMNS = {
    "node": ("id", "name", "above", "twin"),
    "base": ("id", "label"),
    "child": ("id", "node"),
    "grand": ("id", "word"),
    "item": ("id", "node", "child", "scan"),
    "node_item": ("id", "node", "item"),
    "guard": ("id", "item", "grand", "seal"),
    "lefty": ("id", "item", "righty"),
    "righty": ("id", "lefty", "guard"),
    "note": ("id", "kind", "object"),
    "badge": ("id", "node"),
    "mark": ("id", "item"),
    "trace": ("id", "item"),
    "slot": ("id", "node"),
    "seat": ("id", "slot"),
}
ORG = {"slot": "id", "seat": "slot"}
"""The columns that decide the column `org`, the other half of a composite key."""
CASCADE, SET_NULL, PROTECT, RESTRICT, LINK, GENERIC = "CASCADE", "SET_NULL", "PROTECT", "RESTRICT", "link", "generic"
SET_DEFAULT, DO_NOTHING, UNHELD, DATABASE = "SET_DEFAULT", "DO_NOTHING", "unheld", "database"
"""`UNHELD` is DO_NOTHING without a constraint; a relation by `DATABASE` cascades there, and no model has it."""
APART = {SET_NULL, SET_DEFAULT, UNHELD}
"""With these an object can be deleted while others refer to it."""
DEFAULT = 1
NEW = 100
"""The number of a row that the backup does not have."""
PAIR = "node_item"
"""The table of many-to-many."""
ITEM = 1
"""The content type of an item, the only one whose model declares its notes as a GenericRelation."""
REFERENCES = [
    ("node", "above", "node", SET_NULL), ("node", "twin", "node", CASCADE), ("child", "id", "base", LINK),
    ("grand", "id", "child", LINK), ("child", "node", "node", SET_NULL), ("item", "node", "node", CASCADE),
    ("item", "child", "child", SET_NULL), ("node_item", "node", "node", CASCADE),
    ("node_item", "item", "item", CASCADE), ("guard", "item", "item", PROTECT), ("guard", "grand", "grand", RESTRICT),
    ("lefty", "item", "item", CASCADE), ("lefty", "righty", "righty", CASCADE), ("righty", "lefty", "lefty", CASCADE),
    ("righty", "guard", "guard", SET_NULL), ("note", "object", "item", GENERIC), ("badge", "node", "node", SET_DEFAULT),
    ("mark", "item", "item", DO_NOTHING), ("trace", "item", "item", UNHELD), ("slot", "node", "node", DATABASE),
    ("seat", "slot", "slot", DATABASE),
]  # fmt: skip
REQUIRED = {("item", "node"), ("node_item", "node"), ("node_item", "item"), ("guard", "item"), ("righty", "lefty")}
UNIQUE = (("node", ("name",)), ("guard", ("seal",)), ("node_item", ("node", "item")))
TEXTS = (("node", "name"), ("base", "label"), ("grand", "word"), ("guard", "seal"))
_TARGETS = {(table, column): to for table, column, to, how in REFERENCES if how not in {LINK, GENERIC}}
_SET_LATER = {("node", "above"), ("node", "twin"), ("lefty", "righty")}
"""References inside a circle: written after the rows."""

Rows = dict[str, dict[int, dict[str, Any]]]
Place = tuple[str, int]


class Described:
    """Stands for a site's Django, which knows the parent links, the generic relation and the effects of a deletion."""

    description = "a test"

    def ask(self, *_):
        relations = [
            DeclaredRelation(
                TableName(child), (column,), TableName(to), ("id",),
                parent_link=how == LINK, on_delete={LINK: CASCADE, UNHELD: DO_NOTHING}.get(how, how),
            )
            for child, column, to, how in REFERENCES
            if how not in {GENERIC, DATABASE}
        ]  # fmt: skip
        notes = DeclaredRelation(
            TableName("note"), ("object",), TableName("item"), ("id",), type_column="kind", content_type=("app", "item")
        )
        database = DatabaseName("postgresql", "x", "")
        return Description(
            django="5", python="3", database=database, media_root="", users=TableName(""), relations=(*relations, notes)
        )


def graph(rng: Random) -> Rows:
    """Rows of each table by number; references are to any row of their table, also in circles."""
    count = {name: rng.randint(2, 6) for name in COLUMNS}
    count["child"] = min(count["child"], count["base"])
    count["grand"] = min(count["grand"], count["child"])
    count |= {"guard": rng.randint(0, 2), "mark": rng.randint(0, 2)}
    rows: Rows = {name: {} for name in COLUMNS}
    for table, columns in COLUMNS.items():
        for number in range(1, count[table] + 1):
            row: dict[str, Any] = {"id": number}
            for column in columns[1:]:
                if to := _TARGETS.get((table, column)):
                    row[column] = _some(rng, range(1, count[to] + 1), required=(table, column) in REQUIRED)
                elif table == "note":
                    row[column] = rng.randint(1, 2) if column == "kind" else str(rng.randint(1, count["item"]))
                elif column == "scan":
                    row[column] = f"scans/{number}.pdf" if rng.random() < 0.7 else None
                else:
                    row[column] = f"{table} {number}"
            if _fits(rows, table, row):
                rows[table][number] = row
    for row in rows["righty"].values():
        row["guard"] = row["guard"] if row["guard"] in rows["guard"] else None
    return rows


def _some(rng, numbers, *, required):
    return rng.choice(numbers) if numbers and (required or rng.random() < 0.7) else None


def differ(table, row, other):
    """Whether two rows may both be in a table."""
    return not any(
        table == unique and None not in (values := [row[c] for c in columns]) and values == [other[c] for c in columns]
        for unique, columns in UNIQUE
    )


def referred(row, column, how):
    """The number of the row that a row refers to; None for none, and for an object of another content type."""
    if how == GENERIC:
        return int(row[column]) if row["kind"] == ITEM else None
    return row[column]


def copied(rows):
    return {table: {key: dict(row) for key, row in those.items()} for table, those in rows.items()}


def places(rows):
    return [(table, number) for table in COLUMNS for number in rows[table]]


def edited(rng, then, live):
    """Edit the live rows: other texts, texts of deleted rows, other references; and make new rows, some by old keys."""
    for table, column in TEXTS:
        for row in live[table].values():
            used = {one[column] for one in live[table].values()}
            free = sorted({one[column] for one in then[table].values()} - used)
            row[column] = rng.choice([row[column], row[column], f"new {table} {row['id']}", *free[:1]])
    for (table, column), to in _TARGETS.items():
        for row in live[table].values():
            if live[to] and rng.random() < 0.1:
                former, row[column] = row[column], rng.choice(sorted(live[to]))
                if not _fits(live, table, row):
                    row[column] = former
    for table in COLUMNS:  # parents first
        for number in (*(number for number in then[table] if number not in live[table]), NEW):
            if rng.random() < 0.2 and (row := _remade(rng, live, table, number, then[table].get(number))) is not None:
                live[table][number] = row


def take_values(rng, then, live, belongs):
    """Give unique texts of some deleted rows to live rows, or to a new one."""
    for table, column in (("node", "name"), ("guard", "seal")):
        for number in sorted(number for name, number in belongs if name == table and rng.random() < 0.5):
            free = (one for one in live[table].values() if one[column] != then[table].get(one["id"], {}).get(column))
            other = next(free, None) if rng.random() < 0.5 else None
            if other is None and NEW not in live[table]:
                other = _remade(rng, live, table, NEW, None)
            if other is not None:
                former, other[column] = other[column], then[table][number][column]
                if _fits(live, table, other):
                    live[table][other["id"]] = other
                else:
                    other[column] = former


def _fits(rows, table, row):
    """Whether a row may be in a table with the other rows there."""
    return all(one is row or differ(table, row, one) for one in rows[table].values())


def _remade(rng, live, table, number, former):
    """A new row of a table; None if a row that it needs is not there."""
    row: dict[str, Any] = {"id": number}
    for child, column, to, how in REFERENCES:
        if child == table and how == LINK and number not in live[to]:
            return None
        if child == table and (table, column) in _TARGETS:
            again = former is not None and former[column] in live[to] and rng.random() < 0.5
            required = (table, column) in REQUIRED
            if required and not live[to]:
                return None
            row[column] = former[column] if again else _some(rng, sorted(live[to]), required=required)
    for column in COLUMNS[table]:
        if table == "note" and column != "id":
            row[column] = rng.randint(1, 2) if column == "kind" else str(rng.randint(1, 3))
        former_value = former and rng.random() < 0.5
        row.setdefault(
            column, former[column] if former_value else None if column == "scan" else f"newcomer {table} {number}"
        )
    return row if _fits(live, table, row) else None


def write(site, rows):
    with site.connect() as connection, connection.transaction():
        connection.execute(f"TRUNCATE {', '.join(COLUMNS)}")
        for table, columns in COLUMNS.items():
            for row in rows[table].values():
                cells = {c: None if (table, c) in _SET_LATER else row[c] for c in columns} | _org(table, row)
                marks = ", ".join(["%s"] * len(cells))
                connection.execute(f"INSERT INTO {table} ({', '.join(cells)}) VALUES ({marks})", [*cells.values()])
        for table, column in sorted(_SET_LATER):
            for row in rows[table].values():
                connection.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", [row[column], row["id"]])


def defer(site, *, deferred):
    """Let the server look at references when a transaction ends, as Django makes them, or when a statement ends."""
    how = "DEFERRABLE INITIALLY DEFERRED" if deferred else "NOT DEFERRABLE"
    names = site.sql("SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f'")
    site.sql("; ".join(f"ALTER TABLE {table} ALTER CONSTRAINT {name} {how}" for table, name in names))


def read(site):
    return {table: {row["id"]: row for row in _read(site, table, columns)} for table, columns in COLUMNS.items()}


def _read(site, table, columns):
    names = (*columns, "org") if table in ORG else columns
    for values in site.sql(f"SELECT {', '.join(names)} FROM {table}"):
        row = dict(zip(names, values, strict=True))
        org = {"org": row.pop("org")} if table in ORG else {}
        assert org == _org(table, row)
        yield row


def _org(table, row):
    """The other half of a composite key or reference; {} for a table that has none."""
    number = row.get(ORG.get(table))
    return {"org": None if number is None else number % 2 + 1} if table in ORG else {}


def written(place):
    """A row as a person writes it."""
    table, number = place
    return f"{table}:({number % 2 + 1},{number})" if table == "slot" else f"{table}:{number}"
