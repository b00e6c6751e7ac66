"""Random graphs of rows, deleted as Django deletes and edited afterwards: undelete brings back exactly what belongs."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest

from integration.rescue.undelete_graphs import ORG, SCHEMA, Described, defer, graph, places, read, write, written
from integration.rescue.undelete_losses import loss
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.errors import Refused, UsageError
from korrigo_backup.rescue.undelete import UndeleteOptions, undelete
from korrigo_backup.rescue.undo_undelete import undo_undelete
from property_testing import event, given, settings, st
from sandbox import PROJECT, USER, USER_PASSWORD, Sandbox, drop_database

EXAMPLES = int(os.environ.get("KORRIGO_TEST_UNDELETE", "6"))


@pytest.fixture(scope="module")
def graph_site(server, tmp_path_factory):
    made = Sandbox(server, "viatique_graphs", tmp_path_factory.mktemp("graphs") / "site")
    made.create(SCHEMA)
    yield made
    drop_database(server, "viatique_graphs")


@pytest.fixture(scope="module")
def deleting(graph_site):
    """Return a function by which the real Django deletes some objects of the site."""
    access = graph_site.server.access()
    database = {"NAME": graph_site.database, "HOST": access.host, "PORT": access.port}
    role = {"USER": USER, "PASSWORD": USER_PASSWORD}
    argv = [sys.executable, "-m", "integration.rescue.deleting_django", json.dumps(database | role)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=PROJECT / "tests", stdin=pipe, stdout=pipe, text=True) as django:
        asked, answers = django.stdin, django.stdout
        assert asked is not None
        assert answers is not None

        def delete(places):
            for table, number in places:
                if table in ORG:  # no model has it
                    graph_site.sql(f"DELETE FROM {table} WHERE id = {number}")
                    continue
                asked.write(json.dumps([(table, number)]) + "\n")
                asked.flush()
                assert answers.readline()

        yield delete
        asked.close()


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32))
def test_exactly_the_rows_that_belong_to_an_object_come_back(graph_site, deleting, seed):
    site, rng = graph_site, Random(seed)
    for path in site.backups.glob("*") if site.backups.exists() else ():
        path.unlink()
    then = left = graph(rng)
    write(site, then)
    dump = site.backup()
    defer(site, deferred=True)
    while places(left) == places(then):
        deleting(rng.sample(places(then), 2))
        left = read(site)
    defer(site, deferred=rng.random() < 0.5)
    expected = loss(rng, then, left)
    (root,), over, live = expected.roots, expected.over, expected.live
    write(site, live)
    skip, relink = rng.random() < 0.5, rng.random() < 0.5
    wired = site.wired()
    at = replace(wired.site(), django=Described())
    options = UndeleteOptions(
        (written(root),), source=str(dump), skip=skip, relink=relink, overwrite=tuple(map(written, sorted(over)))
    )

    def bring_back():
        return undelete(at, wired.catalog, options, now=local_now(), confirm=lambda _: True)

    if root not in expected.gone or not over <= expected.belongs:
        event("is live" if root not in expected.gone else "overwrites more than belongs")
        with pytest.raises(UsageError) as refused:
            bring_back()
        assert refused.value.id == (
            "undelete.live" if root[1] in live[root[0]] and root not in over else "undelete.unused"
        )
        assert read(site) == live
        return
    if expected.exchanges_pairs():
        event("exchanges pairs")
        with suppress(Refused):
            bring_back()
            assert whole_rows(read(site), expected)
            undo_undelete(at, wired.catalog, confirm=lambda _: True)
        assert read(site) == live
        return
    stay = expected.stay()
    in_conflict = stay != expected.belongs or expected.taken()
    if not stay or (in_conflict and not skip):
        event("refused")
        with pytest.raises(Refused) as conflict:
            bring_back()
        assert skip or conflict.value.id == "undelete.conflict"
        assert read(site) == live
        return
    event("in part" if in_conflict else "whole", f"{len(over)} overwritten")
    assert bring_back().count == len(stay)
    assert read(site) == (expected.relinked(stay) if relink else expected.after(stay))
    undo_undelete(at, wired.catalog, confirm=lambda _: True)
    assert read(site) == live


def whole_rows(found, expected):
    """Whether each row is that of the backup or the live one, and no other."""
    return all(
        row in (expected.then[table].get(number), expected.live[table].get(number))
        for table, rows in found.items()
        for number, row in rows.items()
    )
