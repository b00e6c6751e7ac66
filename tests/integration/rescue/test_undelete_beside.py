"""An undelete beside other backups, triggers and sequences of the site."""

from datetime import datetime, timedelta

from rescue_days import days


def test_a_row_that_came_after_a_time_was_not_deleted_before_it(make_site):
    site = make_site(schema="CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);")
    days(site, "INSERT INTO t VALUES (3)", "INSERT INTO t VALUES (4)", "INSERT INTO t VALUES (5)")
    site.sql("DELETE FROM t WHERE id IN (1, 4)")
    until = (datetime.now() - timedelta(days=3, hours=1)).isoformat(sep=" ")
    out = site.korrigo("undelete", "--table", "t", "--until", until, "--dry-run", code=6).err
    assert "not found among the deleted rows" in out


def test_a_sequence_of_a_column_beside_the_key_is_raised(make_site):
    site = make_site(
        schema="CREATE TABLE a (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), number serial UNIQUE);"
        " INSERT INTO a DEFAULT VALUES; INSERT INTO a DEFAULT VALUES;"
    )
    site.backup()
    site.sql("DELETE FROM a; ALTER SEQUENCE a_number_seq RESTART WITH 1")
    site.korrigo("undelete", "--table", "a", "--yes")
    site.sql("INSERT INTO a DEFAULT VALUES")
    assert site.sql("SELECT number FROM a ORDER BY 1") == [(1,), (2,), (3,)]


def test_a_trigger_writes_into_the_sites_table_of_any_usual_name(make_site):
    site = make_site(
        schema="""CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE trial (result text);
        CREATE TABLE then_1 (id int); INSERT INTO t VALUES (1);"""
    )
    site.backup()
    site.sql(
        """DELETE FROM t; CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO trial VALUES ('seen'); INSERT INTO then_1 VALUES (NEW.id); RETURN NEW; END $$;
        CREATE TRIGGER audit BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION audit()"""
    )
    site.korrigo("undelete", "t:1", "--yes")
    assert (site.sql("SELECT * FROM trial"), site.sql("SELECT * FROM then_1")) == ([("seen",)], [(1,)])
