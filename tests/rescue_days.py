"""A site with a dump a day, for the tests of rescue; tables of exams, for those of revert and of tables."""

EXAMS = """
CREATE TABLE teacher (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE exam (id serial PRIMARY KEY, name text NOT NULL UNIQUE, held date, teacher_id int REFERENCES teacher,
                   facts jsonb, points numeric(6,2), twice text GENERATED ALWAYS AS (name || name) STORED,
                   serial bigint GENERATED ALWAYS AS IDENTITY);
CREATE TABLE pair (a int, b text, value float, PRIMARY KEY (a, b));
CREATE TABLE keyless (word text);
INSERT INTO teacher (name) VALUES ('Ada'), ('Grace'), ('Emmy');
INSERT INTO exam (name, held, teacher_id, facts, points)
  SELECT 'exam ' || n, date '2026-01-01' + n, 1 + n % 3, jsonb_build_object('n', n), n + 0.50
  FROM generate_series(1, 12) n;
INSERT INTO pair SELECT n % 3, 'é' || n, n / 7.0 FROM generate_series(1, 9) n;
INSERT INTO keyless VALUES ('x');
"""


def days(site, *changes):
    """Make a dump a day, and between each two a change; the newest is of yesterday. Return the names, oldest first."""
    found = []
    for number, change in enumerate((*changes, "")):
        path = site.backup()
        found.append(site.aged(path, len(changes) + 1 - number).name)
        for one in (path, path.with_name(path.name + ".manifest.json")):
            one.unlink()
        if change:
            site.sql(change)
    return found


def history(site, *arguments, code=0):
    return site.json("history", *arguments, code=code)
