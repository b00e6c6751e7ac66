"""A reference of several columns of which a deletion has emptied some: ON DELETE SET NULL (column)."""

SCHEMA = """
CREATE TABLE paper (org int, id int, PRIMARY KEY (org, id));
CREATE TABLE room (id int PRIMARY KEY, org int NOT NULL, paper int, FOREIGN KEY (org, paper) REFERENCES paper);
CREATE TABLE seat (org int, id int, paper int, PRIMARY KEY (org, id), FOREIGN KEY (org, paper) REFERENCES paper);
CREATE TABLE hall (id int PRIMARY KEY, org int, paper int, FOREIGN KEY (org, paper) REFERENCES paper);
INSERT INTO paper VALUES (1, 5), (1, 6), (2, 5);
INSERT INTO room VALUES (1, 1, 5), (2, 1, 5), (3, 1, NULL), (4, 1, 6), (5, 1, 5);
INSERT INTO seat VALUES (1, 1, 5), (2, 1, 5);
INSERT INTO hall VALUES (1, 1, 5), (2, 1, 5), (3, 1, 5);
"""

DELETION = """
UPDATE room SET paper = NULL WHERE id IN (1, 2, 5); UPDATE room SET org = 2 WHERE id = 5;
UPDATE seat SET paper = NULL WHERE org = 1;
UPDATE hall SET paper = NULL WHERE id IN (1, 3); UPDATE hall SET org = NULL WHERE id IN (2, 3);
DELETE FROM paper WHERE org = 1 AND id = 5;
"""


def test_a_reference_that_was_emptied_in_part_is_named_and_set_again(make_site):
    site = make_site(schema=SCHEMA)
    site.backup()
    before = site.rows()
    site.sql(DELETION)
    damaged = site.rows()
    out = site.korrigo("undelete", "paper:(1,5)", "--dry-run").out
    assert "6 live rows referred to these rows before the deletion" in out
    assert "their references have other values now: public.room:5" in out
    site.korrigo("undelete", "paper:(1,5)", "--relink", "--yes")
    assert site.sql("SELECT org, paper FROM room WHERE id = 5") == [(2, None)]
    site.sql("UPDATE room SET org = 1, paper = 5 WHERE id = 5")
    assert site.rows() == before
    site.sql("UPDATE room SET org = 2, paper = NULL WHERE id = 5")
    site.korrigo("rollback", "--yes")
    assert site.rows() == damaged
