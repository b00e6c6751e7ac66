"""Random graphs of rows, deleted as Django deletes and edited afterwards: undelete brings back exactly what belongs."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random

import pytest

from integration.rescue.undelete_graphs import ORG, SCHEMA, Described, Place, defer, graph, places, read, write, written
from integration.rescue.undelete_losses import Expected, again, loss
from integration.rescue.undelete_scans import Scans, lose_scans, put_files, read_files, scans
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
    (made.home / "korrigo-backup.toml").write_text('[media]\ncolumns = ["item.scan"]\n')
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


@dataclass(frozen=True)
class Case:
    """A random loss with its dump, and the options of the undelete; `texts` are the rows that get a new unique text."""

    expected: Expected
    files: Scans
    texts: dict[Place, str]
    options: UndeleteOptions

    @property
    def over_files(self):
        return set(self.options.overwrite_files)


def draw(site, deleting, rng):
    """Write a site, back it up, lose some of it, and return the case."""
    then = left = graph(rng)
    write(site, then)
    dump = site.backup()
    saved = scans(then) if rng.random() < 0.5 else {}
    put_files(site, saved)
    if saved:
        site.backup_media()
    defer(site, deferred=True)
    while places(left) == places(then):
        deleting(rng.sample(places(then), 2))
        left = read(site)
    defer(site, deferred=rng.random() < 0.5)
    expected = loss(rng, then, left)
    write(site, expected.live)
    files = lose_scans(rng, then, expected.live, saved)
    put_files(site, files.now)
    texts = expected.taken_texts() if rng.random() < 0.5 else {}
    if texts and (renamed := expected.renamed()):
        expected = renamed
    else:
        texts = {}
    over_files = files.in_the_way(expected.stay()) if rng.random() < 0.5 else set()
    options = UndeleteOptions(
        tuple(map(written, expected.roots)),
        source=str(dump),
        skip=rng.random() < 0.5,
        relink=rng.random() < 0.5,
        overwrite=tuple(map(written, sorted(expected.over))),
        new_values=tuple(f"{table}.{column}={again(number)}" for (table, number), column in texts.items()),
        overwrite_files=tuple(sorted(over_files)),
    )
    return Case(expected, files, texts, options)


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32))
def test_exactly_the_rows_that_belong_to_an_object_come_back(graph_site, deleting, seed):
    site = graph_site
    for path in site.backups.glob("*") if site.backups.exists() else ():
        path.unlink()
    case = draw(site, deleting, Random(seed))
    expected, files, live = case.expected, case.files, case.expected.live
    wired = site.wired()
    at = replace(wired.site(), django=Described())

    def bring_back():
        return undelete(at, wired.catalog, case.options, now=local_now(), confirm=lambda _: True)

    def take_back():
        undo_undelete(at, wired.catalog, confirm=lambda _: True)
        assert (read(site), read_files(site)) == (live, files.now)

    if error := usage_error(expected):
        event(error)
        with pytest.raises(UsageError) as refused:
            bring_back()
        assert refused.value.id == error
    elif expected.exchanges_pairs():
        event("exchanges pairs")
        with suppress(Refused):
            bring_back()
            assert whole_rows(read(site), expected)
            take_back()
    elif not possible(case):
        event("refused")
        with pytest.raises(Refused) as conflict:
            bring_back()
        assert case.options.skip or conflict.value.id == "undelete.conflict"
    else:
        stay = expected.stay()
        event("whole" if stay == expected.belongs else "in part", f"{len(case.texts)} with new texts")
        assert bring_back().count == len(stay)
        found = by_number(read(site), case.texts)
        assert found == (expected.relinked(stay) if case.options.relink else expected.after(stay))
        assert read_files(site) == files.after(stay, case.over_files)
        take_back()
    assert (read(site), read_files(site)) == (live, files.now)


def usage_error(expected):
    """The id of the error of a command that names a live row, or overwrites a row that is in no way; "" for neither."""
    (root,) = expected.roots
    if root in expected.gone and expected.over <= expected.belongs:
        return ""
    return "undelete.live" if root[1] in expected.live[root[0]] and root not in expected.over else "undelete.unused"


def possible(case):
    """Whether some rows come back: all, or with `skip` those that nothing is in the way of."""
    stay = case.expected.stay()
    in_conflict = (
        stay != case.expected.belongs or case.expected.taken() or case.files.in_the_way(stay) - case.over_files
    )
    return bool(stay) and (case.options.skip or not in_conflict)


def by_number(found, taken):
    """The rows with the new texts in the order of their rows: the plan says which row gets which, not the command."""
    texts = sorted(found[table][number][column] for (table, number), column in taken.items())
    assert texts == sorted(map(again, (number for _, number in taken)))
    for (table, number), column in taken.items():
        found[table][number][column] = again(number)
    return found


def whole_rows(found, expected):
    """Whether each row is that of the backup or the live row, and no other."""
    return all(
        row in (expected.then[table].get(number), expected.live[table].get(number))
        for table, rows in found.items()
        for number, row in rows.items()
    )
