"""`--dry-run` of every verb that has it prints the plan, and changes nothing."""

from typing import Any

import typer.main

from korrigo_backup.cli.main import app
from sandbox import nothing_changes

CHANGING = {
    "adopt", "canary accept", "copy", "doctor", "fetch", "hold add", "hold release", "init", "kit make", "kit open",
    "media export", "media import", "prune", "rebuild", "restore", "rollback", "schedule install", "schedule remove",
}  # fmt: skip


def leaves():
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        actions = getattr(command, "commands", None)
        yield from ((f"{name} {action}", leaf) for action, leaf in actions.items()) if actions else [(name, command)]


def test_the_verbs_that_have_a_plan_take_the_option():
    having = {path for path, leaf in leaves() for one in leaf.params if "--dry-run" in [*one.opts, *one.secondary_opts]}
    assert having >= CHANGING


def test_a_dry_run_changes_nothing(site):
    made, media = site.backup(), site.backup_media()
    site.korrigo("backup", "full")
    site.korrigo("hold", "add", made.name, "--reason", "audit", "--by", "dpo")
    site.korrigo("restore", "latest-point", "--yes")
    plans = {
        ("hold", "add", "latest-point", "--reason", "x"): "would be held",
        ("hold", "release", made.name): "would be no longer held",
        ("rollback",): "becomes live",
        ("rollback", "--to", "automatic"): "Plan: restore",
        ("rebuild", "--empty"): "Plan: rebuild database",
        ("rebuild", "--from", made.name): "Plan: restore",
        ("adopt", "--new-key"): "No change was made (--dry-run)",
        ("media", "export", media.name): "would be written from",
        ("doctor", "--fix"): "",
    }
    for words, says in plans.items():
        with nothing_changes(site):
            out = site.korrigo(*words, "--dry-run", code=(0, 10)).out
        assert says in out, words


def test_the_plan_of_a_dry_run_is_in_the_document(site):
    site.korrigo("backup", "full")
    site.korrigo("restore", "latest-point", "--yes")
    found = site.json("rollback", "--dry-run")
    assert (found["ok"], found["applied"]) == (True, False)
    assert found["plan"]["database"]


def test_the_document_of_a_change_says_whether_it_was_made(site):
    site.korrigo("backup", "full")
    assert site.json("restore", "latest-point", "--yes")["applied"] is True
    assert site.json("rollback", "--yes")["applied"] is True
    assert site.json("rollback", "--undo", "none", code=6)["applied"] is False
    assert site.json("restore", "latest-point", code=5)["applied"] is False  # no answer is no yes
    assert "applied" not in site.json("list")
