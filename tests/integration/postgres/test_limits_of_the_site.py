"""Time limits that a site sets for itself, in the server and in Django's settings, end no backup and no restore."""

import pytest

from sandbox import USER, connect, quoted

TINY = {"statement_timeout": "1ms", "lock_timeout": "1ms", "idle_in_transaction_session_timeout": "200ms"}
IN_DJANGO = " ".join(f"-c {name}={value}" for name, value in TINY.items())


@pytest.fixture
def limited(demo):
    """The reference site with limits of role, database, environment and settings, as Korrigo has them at 30, 5, 60 s."""
    demo.settings(f'DATABASES["default"]["OPTIONS"] = {{"options": "{IN_DJANGO}"}}')
    demo.extra["PGOPTIONS"] = IN_DJANGO
    places = (f"ROLE {USER}", f"DATABASE {quoted(demo.database)}")
    with connect(demo.server) as admin:
        for place in places:
            for name, value in TINY.items():
                admin.execute(f"ALTER {place} SET {name} = '{value}'")
        yield demo
        for place in places:
            for name in TINY:
                admin.execute(f"ALTER {place} RESET {name}")


def rows(site):
    with connect(site.server, site.database) as connection:
        connection.execute("SET statement_timeout = 0")
        return connection.execute("SELECT count(*), sum(id) FROM exams_student").fetchone()


@pytest.mark.promise("P1")
@pytest.mark.parametrize("method", ["sql", "django"])
def test_both_methods_save_and_restore_under_tiny_limits(limited, method):
    before = rows(limited)
    limited.korrigo("backup", "full", "--method", method)
    made = "latest-point" if method == "sql" else limited.one("korrigo_backup_*")
    with connect(limited.server, limited.database) as admin:
        admin.execute("SET statement_timeout = 0")
        admin.execute("TRUNCATE exams_student CASCADE")
    limited.korrigo("restore", made, "--yes")
    assert rows(limited) == before
