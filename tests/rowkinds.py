"""A schema with rows of many types, and for each type a change of one value: what comparisons must find."""

ODD = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN score AS numeric CHECK (VALUE >= 0);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE kinds (
  id int PRIMARY KEY, scan bytea, body text, ratio float8, thin float4, seen timestamptz, day date, span interval,
  doc jsonb, raw json, state mood, tags text[], grid int[], price money, mark numeric, flag boolean, bits bit varying,
  who uuid, net inet, rng tstzrange, xml text, pair pair, score score, gone int,
  twice text GENERATED ALWAYS AS (body || body) STORED);
ALTER TABLE kinds DROP COLUMN gone;
INSERT INTO kinds SELECT n, decode(md5(n::text), 'hex'), E'line\\n\\ttab \\\\ é ' || n, 1.0 / n, 1.0 / n,
  timestamptz '2026-02-04 03:00:00.123456+01' + n * interval '1 day', date '2026-01-01' + n, n * interval '1 hour',
  jsonb_build_object('n', n), '{"a":  1}', 'ok', ARRAY['a b', 'c"d', NULL], ARRAY[[n, 2], [3, 4]], n::numeric::money, n, true,
  B'1010', md5(n::text)::uuid, '10.0.0.1', tstzrange('2026-01-01', '2026-01-02'), '<a/>', ROW(n, 'x,y')::pair, n
  FROM generate_series(1, 40) n;
CREATE TABLE "Odd "" (table)" ("The; key" text, "a.b" int, note text, PRIMARY KEY ("a.b", "The; key"));
INSERT INTO "Odd "" (table)" SELECT E'k\\t' || n % 3, n, 'note' FROM generate_series(1, 9) n;
CREATE TABLE parent (id int PRIMARY KEY, body text);
CREATE TABLE child (more text) INHERITS (parent);
INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (1, 'c', 'm'), (2, 'c', 'm');
CREATE TABLE part (id int, at date, body text, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE TABLE part_a PARTITION OF part FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE part_b PARTITION OF part FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO part SELECT n, date '2026-01-01' + n, 'x' FROM generate_series(0, 50) n;
CREATE TABLE keyless (a int, b text); INSERT INTO keyless SELECT n % 3, 'same' FROM generate_series(1, 12) n;
CREATE TABLE hollow (); INSERT INTO hollow DEFAULT VALUES;
CREATE TABLE late (b int, a int PRIMARY KEY, c text); INSERT INTO late SELECT n, -n, repeat('x', 50) FROM generate_series(1, 30) n;
CREATE MATERIALIZED VIEW total AS SELECT count(*) FROM keyless;
"""

SETTINGS = """
ALTER DATABASE {0} SET timezone = 'Europe/Paris'; ALTER DATABASE {0} SET bytea_output = 'escape';
ALTER DATABASE {0} SET datestyle = 'German'; ALTER DATABASE {0} SET extra_float_digits = -10;
ALTER DATABASE {0} SET intervalstyle = 'sql_standard';
"""
"""Under which a dump is made; a copy of the database (`twin`) does not have them."""

ONE_BYTE = {
    "bytea": ("UPDATE kinds SET scan = set_byte(scan, 3, 255) WHERE id = 7", "public.kinds", "id=7"),
    "text": ("UPDATE kinds SET body = replace(body, 'é', 'è') WHERE id = 7", "public.kinds", "id=7"),
    "float8": ("UPDATE kinds SET ratio = ratio + 2.220446049250313e-16 WHERE id = 3", "public.kinds", "id=3"),
    "float4": ("UPDATE kinds SET thin = '0.33333337' WHERE id = 3", "public.kinds", "id=3"),
    "timestamptz": ("UPDATE kinds SET seen = seen + interval '1 microsecond' WHERE id = 8", "public.kinds", "id=8"),
    "interval": ("UPDATE kinds SET span = '24:00:00' WHERE id = 24; UPDATE kinds SET span = '1 day' WHERE id = 24",
                 "public.kinds", "id=24"),
    "jsonb": ("UPDATE kinds SET doc = doc || '{\"n\": 0}' WHERE id = 9", "public.kinds", "id=9"),
    "json": ("UPDATE kinds SET raw = '{\"a\": 1}' WHERE id = 9", "public.kinds", "id=9"),
    "enum": ("UPDATE kinds SET state = 'sad' WHERE id = 10", "public.kinds", "id=10"),
    "array": ("UPDATE kinds SET tags[2] = 'c''d' WHERE id = 11", "public.kinds", "id=11"),
    "grid": ("UPDATE kinds SET grid[1][1] = 0 WHERE id = 12", "public.kinds", "id=12"),
    "money": ("UPDATE kinds SET price = price + '0.01' WHERE id = 13", "public.kinds", "id=13"),
    "numeric": ("UPDATE kinds SET mark = 14.0 WHERE id = 14", "public.kinds", "id=14"),
    "null": ("UPDATE kinds SET body = NULL WHERE id = 15", "public.kinds", "id=15"),
    "range": ("UPDATE kinds SET rng = tstzrange('2026-01-01', '2026-01-02', '[]') WHERE id = 16", "public.kinds", "id=16"),
    "composite": ("UPDATE kinds SET pair.b = 'x.y' WHERE id = 17", "public.kinds", "id=17"),
    "bits": ("UPDATE kinds SET bits = B'10100' WHERE id = 18", "public.kinds", "id=18"),
    "quoted": ('UPDATE "Odd "" (table)" SET note = \'Note\' WHERE "a.b" = 4', 'public."Odd "" (table)"', r"a.b=4, The; key=k\t1"),
    "parent": ("UPDATE ONLY parent SET body = 'P'", "public.parent", "id=1"),
    "partition": ("UPDATE part SET body = 'y' WHERE id = 40", "public.part_b", "at=2026-02-10, id=40"),
    "key in the middle": ("UPDATE late SET c = c || 'x' WHERE a = -5", "public.late", "a=-5"),
}  # fmt: skip
