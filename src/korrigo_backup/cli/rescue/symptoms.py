"""`korrigo-backup rescue SYMPTOM`: one object, table or file: how it stood, since when it is gone, its ways back."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.cli.output import say, say_data, say_json
from korrigo_backup.cli.printed.history import minute, say_file_history, say_row_history, say_table_history
from korrigo_backup.cli.printed.offers import say_offers, say_step, say_table_state
from korrigo_backup.core.counted import counted
from korrigo_backup.rescue.diagnosis.symptoms import OFFERED, Surroundings, look_at, meanings
from korrigo_backup.rescue.site_tables import SiteTables, live_database

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.rescue.diagnosis.live_site import LiveSite
    from korrigo_backup.rescue.diagnosis.symptoms import Symptom
    from korrigo_backup.rescue.points import Points
    from korrigo_backup.rescue.site_tables import LiveDatabase


def say_symptoms(
    wired: Wired,
    points: Points,
    named: Sequence[str],
    live_site: Callable[[LiveDatabase], LiveSite],
    away: Sequence[str],
    commands: Container[str],
    *,
    as_json: bool,
) -> None:
    """Look at each symptom, and print how it stood and the ways back. A text of two meanings is looked at as both."""
    with live_database(wired.site()) as database:
        live = live_site(database)
        tables = SiteTables(live.site, points.require_dumps(), live.taken)
        seen = Surroundings(points, live, tables, commands, wired.config.rescue.audit)
        meant = [meanings(text, seen) for text in dict.fromkeys(named)]
        found = [(one, look_at(one, seen)) for one in meant]
    unseen = [*away, *([database.away] if database.away else [])]
    if as_json:
        say_json("rescue", {"symptoms": [symptom for _, ones in found for symptom in ones], "away": unseen})
        return
    for one, symptoms in found:
        if one.is_ambiguous:
            say(f"⚠️ {one.text} means two things, and both are shown")
        for symptom in symptoms:
            _say(symptom)
    for words in unseen:
        say(f"⚠️ not looked at: {words}")


def _say_steps(symptom: Symptom) -> int:
    """Print the rows of each step of a table; return the number of steps whose rows still differ, or may."""
    if symptom.steps:
        say("  the rows of each step, from backup to backup:")
    for step in symptom.steps:
        say_step(step)
    if symptom.unread:
        table, last = symptom.unread[-1].table, symptom.unread[-1]
        say(f"⚠️ not compared by rows: {counted(len(symptom.unread), 'older step')} until {minute(last.at)}")
        between = f"{quote(last.former)} {quote(last.source)}"
        say_data(f"   korrigo-backup history --table {quote(table)} --changed --between {between}")
    for words in symptom.problems:
        say(f"⚠️ {words}")
    differing = sum(one.is_open for one in symptom.steps)
    if (left := differing - OFFERED) > 0:
        say(f"  {counted(left, 'more step')} with rows that differ: the offers are for the largest and newest")
    return differing + len(symptom.unread)


def _say(symptom: Symptom) -> None:
    if symptom.row:
        say_row_history(symptom.row, "")
    if symptom.table:
        say_table_history(symptom.table, "")
    if symptom.file:
        say_file_history(symptom.file, "")
    for state in symptom.tables:
        say_table_state(state)
    older = _say_steps(symptom)
    if symptom.is_as_saved and older:
        say(
            f"⚠️ {symptom.symptom} is live as in the newest backup, and an older step changed rows,"
            " or removed rows or columns"
        )
    elif symptom.is_as_saved:
        say(f"✅ {symptom.symptom} is live as in the newest backup")
    elif not symptom.offers and symptom.is_as_saved is False:
        say("no command of this version brings it back alone; korrigo-backup list shows the backups for a restore")
    say_offers(symptom.offers)
    say("")
