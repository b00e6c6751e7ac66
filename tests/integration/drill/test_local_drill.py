"""A drill on this machine: code that the site's role has put into its database gets no right here."""

from pathlib import Path

import pytest

from sandbox import SCHEMA, USER_PASSWORD, connect, nothing_changes, quoted
from servers import bindir

TENANT = "tenant_owner"
TEACHER = "tenant_teacher"

FINE = """
CREATE FUNCTION public.tries(t text) RETURNS boolean LANGUAGE plpgsql AS $f$
BEGIN
  {tries}
  RETURN true;
END $f$;
CREATE FUNCTION public.fine(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN
  RETURN public.tries(t);
END $f$;
"""
TRY = "BEGIN EXECUTE $e${sql}$e$; EXCEPTION WHEN OTHERS THEN NULL; END;"
"""Errors are swallowed, so that the load succeeds and nobody hears of them."""

USES = """
ALTER TABLE exam ADD CHECK (public.fine(name));
CREATE INDEX ON exam (public.fine(name));
CREATE MATERIALIZED VIEW seen AS SELECT public.fine(name) FROM exam;
ALTER TABLE exam ADD g boolean GENERATED ALWAYS AS (public.fine(name)) STORED;
CREATE DOMAIN odd AS text CHECK (public.fine(VALUE)); CREATE TABLE own AS SELECT 'x'::odd AS one;
"""
"""Everything that runs a function of the site while a dump is loaded or read."""


def reaching(proof):
    """Return a function that tries every way out of the database, and writes into `proof`."""
    ways = (
        f"COPY (SELECT 'out') TO PROGRAM 'cat > {proof}'",
        f"COPY (SELECT 'out') TO '{proof}'",
        f"SELECT pg_catalog.lo_export(pg_catalog.lo_from_bytea(0, 'out'), '{proof}')",
        f"SET ROLE postgres; COPY (SELECT 'out') TO '{proof}'",
        f"RESET SESSION AUTHORIZATION; COPY (SELECT 'out') TO '{proof}'",
        f"SET ROLE admin_of_school; COPY (SELECT 'out') TO '{proof}'",
        f"CREATE TEMPORARY TABLE IF NOT EXISTS seen (line text); COPY seen FROM PROGRAM 'echo out > {proof}'",
        "ALTER SYSTEM SET archive_command = 'false'",
    )
    return FINE.format(tries="\n".join(TRY.format(sql=way) for way in ways))


@pytest.fixture
def tenant(make_site):
    """A site whose role owns its database and may make no other; a teacher is let in, an admin is a superuser."""
    site = make_site(schema="")
    with connect(site.server) as admin:
        for role in (TENANT, TEACHER, "admin_of_school"):
            if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchall():
                admin.execute(f"CREATE ROLE {role} LOGIN NOCREATEDB PASSWORD '{USER_PASSWORD}'")
        admin.execute("ALTER ROLE admin_of_school SUPERUSER")
        admin.execute(f"GRANT pg_execute_server_program, pg_write_server_files TO {TEACHER}")
        admin.execute(f"ALTER DATABASE {quoted(site.database)} OWNER TO {TENANT}")
        admin.execute(f"GRANT CREATE ON DATABASE {quoted(site.database)} TO {TEACHER} WITH GRANT OPTION")
    site.user = TENANT
    site.sql(SCHEMA)
    yield site
    with connect(site.server, site.database) as admin:
        admin.execute(f"DROP OWNED BY {TEACHER}, admin_of_school CASCADE")


def drilled(site, code=0):
    with nothing_changes(site):
        done = site.korrigo("verify", "latest", "--depth", "full", code=code)
    assert not (site.backups / ".drill-server").exists()
    return done


@pytest.mark.promise("P5")
def test_code_of_the_site_reaches_no_file_and_no_program_of_the_backup_host(tenant, tmp_path):
    proof = tmp_path / "open" / "proof"
    proof.parent.mkdir()
    proof.parent.chmod(0o777)
    tenant.sql(f"{reaching(proof)}{USES}")
    with connect(tenant.server, tenant.database) as admin:
        admin.execute(f"GRANT SELECT ON exam TO {TEACHER}; CREATE POLICY ours ON exam TO {TEACHER} USING (true)")
        admin.execute("CREATE TABLE of_admin (id int); ALTER TABLE of_admin OWNER TO admin_of_school")
        admin.execute(f"GRANT SELECT ON of_admin TO {TENANT}")
    proof.unlink(missing_ok=True)
    tenant.backup()
    assert not proof.exists(), "the site's server is another matter"
    assert "on a throw-away server of this machine" in drilled(tenant).out
    assert not list(proof.parent.iterdir())


@pytest.mark.promise("P5")
def test_code_that_asks_for_a_right_aloud_ends_the_drill_with_a_word_about_the_place(tenant, tmp_path):
    """On the site's server it stands by; here the function is run at the load."""
    proof = tmp_path / "proof"
    asked = f"IF current_user <> '{TENANT}' THEN EXECUTE $e$COPY (SELECT 1) TO PROGRAM 'cat > {proof}'$e$; END IF;"
    tenant.sql(f"{FINE.format(tries=asked)}ALTER TABLE exam ADD CHECK (public.fine(name))")
    tenant.backup()
    refused = drilled(tenant, code=4)
    assert "no drill on this machine" in refused.err
    assert "staging server" in refused.err
    assert not proof.exists()


@pytest.mark.promise("P1")
def test_extensions_that_an_administrator_made_are_made_before_the_drill(tenant):
    """In schemas of their own and in public, with rows of their tables that are the site's."""
    share = bindir().parents[3] / "share" / "postgresql" / bindir().parent.name / "extension"
    if not (share / "postgis.control").exists():
        pytest.skip(f"there is no PostGIS in {share} (Debian: postgresql-15-postgis-3)")
    with connect(tenant.server, tenant.database) as admin:
        admin.execute(f"CREATE SCHEMA maps AUTHORIZATION {TENANT}; CREATE EXTENSION pageinspect SCHEMA maps")
        admin.execute(
            "CREATE EXTENSION postgis; CREATE EXTENSION postgis_topology; CREATE EXTENSION hstore SCHEMA maps"
        )
        admin.execute("INSERT INTO spatial_ref_sys VALUES (990001, 'ours', 990001, 'LOCAL', '+proj=longlat')")
    tenant.sql(
        "CREATE TABLE place (id int, at geometry(Point, 4326), more maps.hstore); CREATE INDEX ON place USING gist (at);"
        " INSERT INTO place VALUES (1, ST_SetSRID(ST_MakePoint(2, 48), 4326), 'a=>1')"
    )
    tenant.backup()
    assert "on a throw-away server of this machine" in drilled(tenant).out


@pytest.mark.promise("P5")
def test_a_drill_refuses_and_names_an_extension_with_an_untrusted_language(tenant):
    ((share,),) = tenant.sql("SELECT setting FROM pg_config WHERE name = 'SHAREDIR'", superuser=True)
    files = {
        "kb_needed.control": "default_version = '1'\nrelocatable = false\n",
        "kb_needed--1.sql": "CREATE FUNCTION kb_handler() RETURNS language_handler LANGUAGE c"
        " AS '$libdir/plpgsql', 'plpgsql_call_handler'; CREATE LANGUAGE kb_needed HANDLER kb_handler;",
        "kb_needing.control": "default_version = '1'\nrelocatable = false\nrequires = 'kb_needed'\n",
        "kb_needing--1.sql": "CREATE FUNCTION kb_one() RETURNS int LANGUAGE sql RETURN 1;",
    }
    places = [Path(share, "extension", name) for name in files]
    try:
        for place, text in zip(places, files.values(), strict=True):
            place.write_text(text)
    except PermissionError:
        pytest.skip("extensions are added to the server's own, where only root may write")
    try:
        tenant.sql("CREATE EXTENSION kb_needing CASCADE", superuser=True)
        tenant.backup()
        refused = drilled(tenant, code=4)
        assert "kb_needed: an untrusted language runs commands" in refused.err
    finally:
        for place in places:
            place.unlink()
