"""Sites that share a server or a backup directory: nothing of a neighbour is restored, changed or removed."""

import pytest

from korrigo_backup.domain.naming import stage_database
from sandbox import quoted

STAMP = "20260204_030000"


@pytest.mark.promise("P10")
def test_a_backup_leaves_the_staged_database_of_a_site_whose_name_begins_alike(make_site):
    shop, blog = make_site(name="s" * 45 + "_shop"), make_site(name="s" * 45 + "_blog")
    theirs, left = stage_database(blog.database, STAMP), stage_database(shop.database, STAMP)
    for name in (theirs, left):
        shop.sql(f"CREATE DATABASE {quoted(name)}")
    done = shop.korrigo("backup", "db")
    assert theirs in shop.databases()
    assert left not in shop.databases(), done.said


def test_what_an_earlier_version_has_kept_of_a_long_name_is_found_by_rollback(make_site):
    site = make_site(name="s" * 50)
    former = "s" * 40 + f"_before_{STAMP}"
    site.sql(f"CREATE DATABASE {quoted(former)} TEMPLATE {quoted(site.database)}", "postgres")
    before = site.rows()
    site.wreck()
    site.korrigo("rollback", "--yes")
    assert site.rows() == before
