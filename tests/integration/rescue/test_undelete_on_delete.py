"""Rows next to deleted rows: those that a deletion does not delete stay away, and the plan names their command."""

from dataclasses import replace

import pytest

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.core.site_description import DatabaseName, DeclaredRelation, Description, TableName
from korrigo_backup.errors import Refused
from korrigo_backup.rescue.undelete import UndeleteOptions, undelete
from korrigo_backup.rescue.undo_undelete import undo_undelete


class Described:
    """Stands for the site's Django."""

    description = "a test"

    def __init__(self, *relations):
        self.relations = relations

    def ask(self, *_):
        return Description(
            django="5",
            python="3",
            database=DatabaseName("postgresql", "x", ""),
            media_root="",
            users=TableName(""),
            relations=self.relations,
        )


def brought(site, *objects, relations=(), **more):
    """The plan of an undelete that was carried out."""
    wired = site.wired()
    at = replace(wired.site(), django=Described(*relations)) if relations else wired.site()
    return undelete(at, wired.catalog, UndeleteOptions(objects, **more), now=local_now(), confirm=lambda _: True)


def findings(plan, id_):
    return [one for one in plan.findings if one.id == id_]


def declared(table, column, to, on_delete, **more):
    return DeclaredRelation(TableName(table), (column,), TableName(to), ("id",), on_delete=on_delete, **more)


def saved(make_site, schema):
    site = make_site(schema=schema)
    dump = site.backup()
    return site, str(dump)


@pytest.mark.promise("P2")
def test_a_row_of_a_longer_transaction_that_refers_to_the_row_keeps_it(make_site):
    site, dump = saved(
        make_site,
        """CREATE TABLE usr (id int PRIMARY KEY); INSERT INTO usr VALUES (1);
        CREATE TABLE note (id int PRIMARY KEY, usr int); INSERT INTO note VALUES (1, 1);""",
    )
    site.sql("DELETE FROM usr")
    relations = (declared("note", "usr", "usr", "DO_NOTHING"),)

    def undone():
        wired = site.wired()
        at = replace(wired.site(), django=Described(*relations))
        undo_undelete(at, wired.catalog, confirm=lambda _: True)

    brought(site, "usr:1", source=dump, relations=relations)
    undone()  # the note of before leads nowhere again
    with site.connect() as connection, connection.transaction():
        connection.execute("SELECT pg_current_xact_id()")
        brought(site, "usr:1", source=dump, relations=relations)
        connection.execute("INSERT INTO note VALUES (2, 1)")
    with pytest.raises(Refused, match=r"rows of public\.note refer to rows of the undelete now: 1"):
        undone()
    assert site.sql("SELECT id FROM usr") == [(1,)]


def test_rows_whose_reference_a_deletion_empties_were_deleted_on_their_own_and_stay_away(make_site):
    site, dump = saved(
        make_site,
        """CREATE TABLE usr (id int PRIMARY KEY);
        CREATE TABLE exam (id int PRIMARY KEY, reviewer int REFERENCES usr ON DELETE SET NULL);
        INSERT INTO usr VALUES (1); INSERT INTO exam VALUES (1, 1), (2, 1);""",
    )
    site.sql("DELETE FROM exam WHERE id = 1")
    site.sql("DELETE FROM usr")
    plan = brought(site, "usr:1", source=dump)
    assert site.sql("SELECT id FROM exam") == [(2,)]
    [finding] = findings(plan, "undelete.apart")
    assert "public.exam:1" in finding.message
    assert finding.hint.endswith(f"korrigo-backup undelete public.exam:1 --from {dump}")
    brought(site, "public.exam:1", source=dump)
    assert site.sql("SELECT id, reviewer FROM exam ORDER BY 1") == [(1, 1), (2, None)]


def test_rows_that_a_deletion_had_to_delete_first_come_back_those_that_it_ignores_stay_away(make_site):
    site, dump = saved(
        make_site,
        """CREATE TABLE u (id int PRIMARY KEY); CREATE TABLE inv (id int PRIMARY KEY, u int NOT NULL REFERENCES u);
        CREATE TABLE log (id int PRIMARY KEY, u int NOT NULL REFERENCES u);
        CREATE TABLE part (id int PRIMARY KEY, u int NOT NULL);
        CREATE TABLE low (id int PRIMARY KEY, u int NOT NULL REFERENCES u ON DELETE CASCADE);
        INSERT INTO u VALUES (1);
        INSERT INTO inv VALUES (1, 1); INSERT INTO log VALUES (1, 1); INSERT INTO part VALUES (1, 1);
        INSERT INTO low VALUES (1, 1);""",
    )
    site.sql("DELETE FROM log; DELETE FROM inv; DELETE FROM part; DELETE FROM u")
    plan = brought(
        site,
        "u:1",
        source=dump,
        relations=(
            declared("inv", "u", "u", "PROTECT"),
            declared("log", "u", "u", "DO_NOTHING"),
            declared("part", "u", "u", "DO_NOTHING"),
            declared("low", "u", "u", "DO_NOTHING"),
        ),
    )
    assert [site.sql(f"SELECT count(*) FROM {name}")[0][0] for name in ("inv", "log", "part", "low")] == [1, 1, 0, 1]
    [finding] = findings(plan, "undelete.apart")
    assert "public.part:1" in finding.message


def test_a_reference_without_a_constraint_that_is_older_than_the_undelete_does_not_hold_its_rollback(make_site):
    site, dump = saved(
        make_site,
        """CREATE TABLE u (id int PRIMARY KEY); CREATE TABLE part (id int PRIMARY KEY, u int);
        INSERT INTO u VALUES (1); INSERT INTO part VALUES (1, 1);""",
    )
    site.sql("DELETE FROM u")
    relations = [declared("part", "u", "u", "DO_NOTHING")]
    brought(site, "u:1", source=dump, relations=relations)
    wired = site.wired()
    at = replace(wired.site(), django=Described(*relations))
    site.sql("INSERT INTO part VALUES (2, 1)")
    with pytest.raises(Refused, match=r"rows of public\.part refer to rows of the undelete now: 1"):
        undo_undelete(at, wired.catalog, confirm=lambda _: True)
    site.sql("DELETE FROM part WHERE id = 2")
    undo_undelete(at, wired.catalog, confirm=lambda _: True)
    assert site.sql("SELECT * FROM u") == []
    assert site.sql("SELECT * FROM part") == [(1, 1)]


@pytest.mark.promise("P2")
def test_a_trigger_that_deletes_the_children_lets_a_rollback_pass_or_refuses_it_in_words(make_site):
    site, dump = saved(
        make_site,
        """CREATE TABLE u (id int PRIMARY KEY, up int REFERENCES u);
        CREATE TABLE part (id int PRIMARY KEY, u int REFERENCES u);
        CREATE FUNCTION cascade() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM part WHERE u = OLD.id;
        DELETE FROM u WHERE up = OLD.id; RETURN OLD; END $$;
        CREATE TRIGGER cascade BEFORE DELETE ON u FOR EACH ROW EXECUTE FUNCTION cascade();
        INSERT INTO u VALUES (1), (2); INSERT INTO u VALUES (3, 2); INSERT INTO part VALUES (1, 1), (2, 1);""",
    )
    site.sql("DELETE FROM u WHERE id = 1; DELETE FROM u WHERE id = 3; DELETE FROM u WHERE id = 2")
    site.korrigo("undelete", "u:1", "--from", dump, "--yes")
    site.korrigo("rollback", "--yes")
    assert site.sql("SELECT (SELECT count(*) FROM u), (SELECT count(*) FROM part)") == [(0, 0)]
    site.korrigo("undelete", "u:2", "--from", dump, "--yes")
    ran = site.korrigo("rollback", "--yes", code=4)
    assert "a trigger of the site changes rows of the undelete while others of them are taken back" in ran.err
    assert site.sql("SELECT id FROM u ORDER BY 1") == [(2,), (3,)]


def test_a_many_to_many_row_brings_no_other_object_back(make_site):
    site, dump = saved(
        make_site,
        """CREATE TABLE tag (id int PRIMARY KEY, n text); CREATE TABLE exam (id int PRIMARY KEY, n text);
        CREATE TABLE et (id int PRIMARY KEY, exam int NOT NULL REFERENCES exam, tag int NOT NULL REFERENCES tag);
        INSERT INTO tag VALUES (1, 't'); INSERT INTO exam VALUES (1, 'secret exam'), (2, 'b');
        INSERT INTO et VALUES (1, 1, 1), (2, 2, 1);""",
    )
    site.sql("DELETE FROM et; DELETE FROM exam WHERE id = 1; DELETE FROM tag WHERE id = 1")
    plan = brought(site, "tag:1", source=dump)
    assert site.sql("SELECT id FROM exam") == [(2,)]
    assert site.sql("SELECT id FROM et") == [(2,)]
    [finding] = findings(plan, "undelete.apart")
    assert finding.hint.endswith(f"korrigo-backup undelete public.exam:1 --from {dump}")
    brought(site, "public.exam:1", source=dump)
    assert site.sql("SELECT id FROM et ORDER BY 1") == [(1,), (2,)]


def test_the_plan_names_the_top_of_a_deletion_of_which_only_a_part_is_asked_for(make_site):
    site, dump = saved(
        make_site,
        """CREATE TABLE exam (id int PRIMARY KEY); CREATE TABLE sheet (id int PRIMARY KEY, exam int REFERENCES exam);
        CREATE TABLE mark (id int PRIMARY KEY, sheet int REFERENCES sheet, n int);
        CREATE TABLE event (id int PRIMARY KEY, sheet int REFERENCES sheet, n int);
        INSERT INTO exam VALUES (1); INSERT INTO sheet VALUES (1, 1), (2, 1);
        INSERT INTO mark VALUES (1, 1, 0), (2, 2, 0), (3, 2, 0); INSERT INTO event VALUES (1, 1, 0), (2, 2, 0);""",
    )
    site.sql("DELETE FROM event; DELETE FROM mark; DELETE FROM sheet; DELETE FROM exam")
    plan = brought(site, table="event", source=dump)
    [finding] = findings(plan, "undelete.below")
    assert "3 of public.mark" in finding.message
    command = f"korrigo-backup undelete public.exam:1 --from {dump}"
    assert (
        finding.hint
        == f"in place of this command: {command}; if it is carried out already: korrigo-backup rollback first"
    )
    site.korrigo("rollback", "--yes")
    assert findings(brought(site, "exam:1", source=dump), "undelete.below") == []
    assert site.sql("SELECT count(*) FROM mark") == [(3,)]


def test_rows_that_only_a_row_left_out_needed_stay_away(make_site):
    site, dump = saved(
        make_site,
        """CREATE TABLE person (id int PRIMARY KEY, name text);
        CREATE TABLE exam (id int PRIMARY KEY, name text UNIQUE, author int REFERENCES person);
        INSERT INTO person VALUES (1, 'Anna'), (2, 'Bob'); INSERT INTO exam VALUES (5, 'five', 1), (6, 'six', 2);""",
    )
    site.sql("DELETE FROM exam; DELETE FROM person; INSERT INTO exam VALUES (9, 'five', NULL)")
    brought(site, "exam:5", "exam:6", source=dump, skip=True)
    assert site.sql("SELECT id FROM exam ORDER BY 1") == [(6,), (9,)]
    assert site.sql("SELECT id FROM person") == [(2,)]


def test_an_inherited_object_is_left_out_whole_and_with_its_generic_rows(make_site):
    site, dump = saved(
        make_site,
        """CREATE TABLE base (id int PRIMARY KEY, label text);
        CREATE TABLE child (id int PRIMARY KEY REFERENCES base, code text UNIQUE);
        CREATE TABLE django_content_type (id int PRIMARY KEY, app_label text, model text);
        INSERT INTO django_content_type VALUES (1, 'app', 'child');
        CREATE TABLE note (id int PRIMARY KEY, kind int NOT NULL, object text NOT NULL);
        INSERT INTO base VALUES (1, 'a'), (2, 'b'); INSERT INTO child VALUES (1, 'x'), (2, 'y');
        INSERT INTO note VALUES (1, 1, '1'), (2, 1, '2');""",
    )
    site.sql("DELETE FROM note; DELETE FROM child; DELETE FROM base")
    site.sql("INSERT INTO base VALUES (9, 'z'); INSERT INTO child VALUES (9, 'x')")
    brought(
        site,
        "child:1",
        "child:2",
        source=dump,
        skip=True,
        relations=(
            declared("child", "id", "base", "CASCADE", parent_link=True),
            declared("note", "object", "child", "CASCADE", type_column="kind", content_type=("app", "child")),
        ),
    )
    assert [site.sql(f"SELECT id FROM {name} ORDER BY 1") for name in ("base", "child", "note")] == [
        [(2,), (9,)],
        [(2,), (9,)],
        [(2,)],
    ]


def test_a_column_may_have_the_name_of_an_alias(make_site):
    letters = ", ".join(f"{name} int" for name in "acegloptuq")
    site, dump = saved(
        make_site,
        f"""CREATE TABLE par (id int PRIMARY KEY, {letters});
        CREATE TABLE kid (id int PRIMARY KEY, par int REFERENCES par);
        INSERT INTO par VALUES (1, 1); INSERT INTO kid VALUES (1, 1);""",
    )
    site.sql("DELETE FROM kid; UPDATE par SET t = 2")
    [finding] = findings(brought(site, "kid:1", source=dump), "undelete.parent_changed")
    assert finding.message.endswith(": t")


def test_rows_of_a_table_without_a_key_can_be_taken_back_equal_ones_and_those_with_null(make_site):
    site, dump = saved(
        make_site,
        """CREATE TABLE keyless (word text, n int);
        INSERT INTO keyless VALUES ('x', NULL), ('y', 1), ('y', 1), ('z', 3);""",
    )
    site.sql("DELETE FROM keyless WHERE word <> 'z'")
    live = site.rows()
    brought(site, table="keyless", source=dump)
    site.sql("INSERT INTO keyless VALUES ('y', 1)")
    site.korrigo("rollback", "--yes")
    site.sql("DELETE FROM keyless WHERE word = 'y'")
    assert site.rows() == live


def test_references_to_a_row_that_is_only_needed_are_set_again(make_site):
    site, dump = saved(
        make_site,
        """CREATE TABLE usr (id int PRIMARY KEY); CREATE TABLE exam (id int PRIMARY KEY, owner int NOT NULL REFERENCES usr);
        CREATE TABLE log (id int PRIMARY KEY, who int REFERENCES usr ON DELETE SET NULL);
        INSERT INTO usr VALUES (1), (2); INSERT INTO exam VALUES (1, 1); INSERT INTO log VALUES (1, 1), (2, 2);""",
    )
    site.sql("DELETE FROM exam; DELETE FROM usr WHERE id = 1")
    [link] = brought(site, "exam:1", source=dump, relink=True).links
    assert (link.table, len(link.keys)) == ("public.log", 1)
    assert site.sql("SELECT id, who FROM log ORDER BY id") == [(1, 1), (2, 2)]
    site.korrigo("rollback", "--yes")
    assert site.sql("SELECT id, who FROM log ORDER BY id") == [(1, None), (2, 2)]
