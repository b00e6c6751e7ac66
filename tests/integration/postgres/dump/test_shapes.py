"""What a database can hold beyond tables comes back, and the loss of any of it is found by the proof."""

import hashlib

import psycopg
import pytest

from korrigo_backup.errors import KorrigoBackupError, ProofFailed, Refused
from korrigo_backup.postgres.difference import Acceptance
from korrigo_backup.postgres.digest import prove_all, snapshot
from korrigo_backup.postgres.dump.proof import differences, prove
from sandbox import USER, connect
from shapes import LOSSES, OWNERS, SUPERUSERS, known, large_objects, make_roles


@pytest.fixture(scope="module", autouse=True)
def other_roles(server):
    make_roles(server)


@pytest.fixture
def shaped(make_site, server):
    return make_site(schema=";".join(known(server, OWNERS.values())))


@pytest.fixture
def superuser_site(make_site):
    """A site whose role is the superuser of its server, as in the official container."""
    site = make_site(schema="")
    site.superuser = True
    site.sql(
        ";".join(known(site.server, [*OWNERS.values(), *SUPERUSERS.values()])).replace(f" {USER}", " postgres"),
        superuser=True,
    )
    site.sql("ALTER DEFAULT PRIVILEGES FOR ROLE viatique_user GRANT SELECT ON TABLES TO PUBLIC", superuser=True)
    yield site
    site.sql("DROP SUBSCRIPTION IF EXISTS taker", superuser=True)
    for previous in site.previous_databases():
        site.sql("DROP SUBSCRIPTION IF EXISTS taker", previous, superuser=True)


@pytest.mark.promise("P1")
def test_all_that_an_owner_can_make_comes_back(shaped):
    before, objects = shaped.content(), large_objects(shaped)
    made = shaped.backup()
    shaped.sql('DROP SCHEMA public, "Dép. 1" CASCADE; CREATE SCHEMA public; SELECT lo_unlink(4711), lo_create(5000)')
    shaped.restore(made)
    assert shaped.content() == before
    assert large_objects(shaped) == objects
    assert len(objects) == 5


@pytest.mark.promise("P1")
def test_all_that_a_superuser_can_make_comes_back(superuser_site):
    site = superuser_site
    before, objects = site.content(), large_objects(site)
    made = site.backup()
    assert "far-away-pa55" not in made.with_name(made.name + ".manifest.json").read_text()
    site.sql("DROP EVENT TRIGGER ddl_log; DROP PUBLICATION everything; DROP SCHEMA theirs CASCADE", superuser=True)
    site.sql("DROP SERVER IF EXISTS elsewhere CASCADE; DELETE FROM bound; SELECT lo_unlink(4711)", superuser=True)
    assert "restored subscriptions are disabled: taker" in site.korrigo("plan", made).out
    site.restore(made)
    assert site.content() == before
    assert large_objects(site) == objects


def test_the_digest_of_large_objects_is_that_of_their_pieces(make_site):
    """Reckoned once more by other means, for sizes around that of a piece, whatever stood before in the catalogue."""
    piece = 1024 * 1024
    sizes = {7001: 3 * piece + 5, 7002: 0, 7003: piece, 7004: 1, 7005: piece + 1, 7006: 0}
    site = make_site(
        schema=";".join(f"SELECT lo_from_bytea({oid}, decode(repeat('5a', {n}), 'hex'))" for oid, n in sizes.items())
    )
    pieces = [
        f"{oid}:{n}:{hashlib.md5(bytes([0x5A]) * min(piece, max(size - n * piece, 0))).hexdigest()}"  # noqa: S324
        for oid, size in sizes.items()
        for n in range(max(size - 1, 0) // piece + 1)
    ]
    (total,) = site.sql(f"SELECT sum(hashtextextended(p, 0)) FROM unnest(ARRAY{pieces}) p")[0]
    with snapshot(site.wired().site().postgres) as taken:
        found = taken.large_objects()
    assert (found.count, found.digest) == (6, f"{int(total) % (1 << 128):032x}")


def test_a_plan_counts_large_objects(make_site):
    site = make_site(schema="SELECT lo_create(4711)")
    made = site.backup()
    assert "large objects" not in site.korrigo("plan", made).out
    site.sql("SELECT lo_create(4712), lo_put(4711, 0, 'x')")
    assert "large objects    2      1    -1" in site.korrigo("plan", made).out


@pytest.mark.contract("T10")
def test_the_loss_of_anything_is_found(shaped):
    made = shaped.backup()
    expected = shaped.wired().catalog.find(str(made)).manifest.database
    server = shaped.wired().site().postgres

    def differ():
        with snapshot(server) as taken:
            return [one.message for one in differences(taken, expected, prove_all(taken))]

    assert differ() == []
    for statement in known(shaped.server, LOSSES):
        shaped.sql(statement)
        found, words = differ(), LOSSES[statement]
        assert words is None or words in found, f"{statement}: {found}"
    with pytest.raises(ProofFailed, match=r"and \d+ more"):
        prove(server, expected, database=shaped.database, accept=Acceptance(), report=print)


def test_a_database_without_schema_public_comes_back_without_it(make_site):
    site = make_site(
        schema="CREATE SCHEMA own; CREATE TABLE own.t (id int); INSERT INTO own.t VALUES (1); DROP SCHEMA public"
    )
    before = site.content()
    made = site.backup()
    site.sql("DROP TABLE own.t")
    site.restore(made)
    assert site.content() == before


def test_a_table_that_the_role_may_not_read_refuses_the_backup(make_site):
    site = make_site(schema="CREATE TABLE open_to_all (id int)")
    site.sql("CREATE TABLE of_another (id int)", superuser=True)
    with pytest.raises(Refused, match="permission denied for table of_another"):
        site.backup()
    assert site.published() == frozenset()


def test_rows_that_row_security_hides_refuse_the_backup(make_site):
    site = make_site(schema="CREATE TABLE hides (id int); INSERT INTO hides VALUES (1)")
    site.sql("ALTER TABLE hides ENABLE ROW LEVEL SECURITY; ALTER TABLE hides FORCE ROW LEVEL SECURITY")
    with pytest.raises(Refused, match="row-level security") as refusal:
        site.backup()
    assert "BYPASSRLS" in refusal.value.hint
    assert site.published() == frozenset()


def test_a_large_object_that_the_role_may_not_read_refuses_the_backup(make_site):
    site = make_site(schema="")
    site.sql("SELECT lo_from_bytea(0, 'hidden')", superuser=True)
    with pytest.raises(Refused, match="permission denied for large object"):
        site.backup()


def test_a_subscription_that_the_role_may_not_dump_refuses_the_backup(make_site):
    """pg_dump leaves it out with a warning, which nobody reads at three in the morning."""
    site = make_site(schema="CREATE TABLE t (id int)")
    site.sql(SUPERUSERS["publications of all, subscriptions"], superuser=True)
    try:
        with pytest.raises(Refused, match="leaves out the subscriptions"):
            site.backup()
    finally:
        site.sql("DROP SUBSCRIPTION taker", superuser=True)


def test_a_restore_with_a_missing_owner_role_is_refused_and_names_the_role(superuser_site, server):
    site = superuser_site
    with connect(server) as admin:
        admin.execute("CREATE ROLE shape_gone")
    site.sql("CREATE TABLE of_gone (id int); ALTER TABLE of_gone OWNER TO shape_gone", superuser=True)
    made = site.backup()
    site.sql("DROP TABLE of_gone", superuser=True)
    with connect(server) as admin:
        admin.execute("DROP ROLE shape_gone")
    before = site.content()
    with pytest.raises(KorrigoBackupError, match="roles do not exist on this server: shape_gone") as failure:
        site.restore(made)
    assert "CREATE ROLE" in failure.value.hint
    assert site.content() == before


def test_a_database_and_a_table_in_tablespaces_of_their_own(make_site, server, tmp_path):
    site = make_site(schema="")
    site.superuser = True
    with connect(server) as admin:
        for name in ("ts_of_base", "ts_of_table"):
            (server.home / name).mkdir(mode=0o700)
            admin.execute(f"CREATE TABLESPACE {name} LOCATION '{server.home / name}'")
        admin.execute(f'ALTER DATABASE "{site.database}" SET TABLESPACE ts_of_base')
    site.sql("CREATE TABLE here (id int); CREATE TABLE there (id int) TABLESPACE ts_of_table", superuser=True)
    before = site.content()
    made = site.backup()
    site.sql("DROP TABLE there", superuser=True)
    site.restore(made)
    assert site.content() == before
    asked = "SELECT spcname FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = current_database()"
    assert site.sql(asked, superuser=True) == [("ts_of_base",)]


def test_a_database_whose_order_is_icus_keeps_it(make_site, server):
    site = make_site(schema="")
    with connect(server) as admin:
        admin.execute(f'DROP DATABASE "{site.database}"')
        try:
            admin.execute(
                f"CREATE DATABASE \"{site.database}\" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'fr-FR' OWNER {USER}"
            )
        except psycopg.Error as reason:
            pytest.skip(str(reason))
    site.sql("CREATE COLLATION natural_order (provider = icu, locale = 'fr-u-kn', deterministic = false)")
    site.sql("CREATE TABLE t (name text COLLATE natural_order UNIQUE); INSERT INTO t VALUES ('é2'), ('e10')")
    asked = "SELECT datlocprovider, datcollate FROM pg_database WHERE datname = current_database()"
    before = site.content(), site.sql(asked)
    made = site.backup()
    site.sql("DROP TABLE t")
    site.restore(made)
    assert (site.content(), site.sql(asked)) == before
    assert before[1][0][0] == "i"
