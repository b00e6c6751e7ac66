"""The table of the verbs: where the code of each stands, the panel of the main help, and its line there."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Panel(StrEnum):
    """The occasions of an operator: the groups of the main help, in its order."""

    BEGIN = "Begin"
    EVERY_DAY = "Every day"
    BROKEN = "When it is broken"
    KEEP = "Keep"
    LOOK = "Look"


class VerbEntry(NamedTuple):
    """A verb: the module below `korrigo_backup.cli`, its panel, and its line of at most 64 characters."""

    module: str
    panel: Panel
    summary: str


VERBS = {
    "init": VerbEntry("setup.init", Panel.BEGIN, "Write the configuration of this site and check everything."),
    "doctor": VerbEntry("setup.doctor", Panel.BEGIN, "Check what backups and restores need; --fix repairs."),
    "schedule": VerbEntry("schedule.schedule", Panel.BEGIN, "Have backups start by themselves (systemd or cron)."),
    "notify": VerbEntry("notify", Panel.BEGIN, "Try the channels that notify people, or notify them."),
    "seal": VerbEntry("seal", Panel.BEGIN, "Make the key that opens sealed copies, or prove a key."),
    "completion": VerbEntry("setup.completion", Panel.BEGIN, "Print the completion of the command line for a shell."),
    "backup": VerbEntry("backup", Panel.EVERY_DAY, "Back up the database, the media, or both; verified."),
    "status": VerbEntry("status.status", Panel.EVERY_DAY, "Show how the backups stand, and the next steps."),
    "verify": VerbEntry("verify", Panel.EVERY_DAY, "Read every byte of a backup; with --depth full load it."),
    "drill": VerbEntry("drill", Panel.EVERY_DAY, "Restore into a throw-away place, prove it, measure it."),
    "nightly": VerbEntry(
        "schedule.nightly", Panel.EVERY_DAY, "Back up, verify, prune, copy, notify: one run of the schedule."
    ),
    "point": VerbEntry("schedule.point", Panel.EVERY_DAY, "Make a restore point, without the other steps of a night."),
    "guard": VerbEntry("guard", Panel.EVERY_DAY, "Run a command that changes the site, with a way back."),
    "rehearse": VerbEntry("rehearse", Panel.EVERY_DAY, "Try a new image's migrations on the data of a backup."),
    "plan": VerbEntry("plan", Panel.BROKEN, "Show what a restore would change. Changes nothing."),
    "restore": VerbEntry("restore", Panel.BROKEN, "Put a backup in the place of the live data, proven before."),
    "rescue": VerbEntry("rescue.rescue", Panel.BROKEN, "Find what is broken and since when, and the ways back."),
    "history": VerbEntry("rescue.history", Panel.BROKEN, "Show how a row or a file stood in each backup."),
    "undelete": VerbEntry("undelete", Panel.BROKEN, "Bring deleted rows back, with all that belongs to them."),
    "revert": VerbEntry("rescue.revert", Panel.BROKEN, "Put changed values back, where nobody changed them again."),
    "requests": VerbEntry("rescue.requests", Panel.BROKEN, "Take the requests of Django's admin to bring rows back."),
    "rollback": VerbEntry("rollback", Panel.BROKEN, "Undo a restore, in about a second."),
    "validate": VerbEntry("validate", Panel.BROKEN, "Check that the live site works and is whole."),
    "rebuild": VerbEntry("rebuild", Panel.BROKEN, "Make the database anew, as the last resort."),
    "adopt": VerbEntry("adopt", Panel.BROKEN, "Go on with the backups after a new server, name or key."),
    "explain": VerbEntry("setup.explain", Panel.BROKEN, "Explain an error or a finding: symptom, cause, next command."),
    "diagnose": VerbEntry("setup.diagnose", Panel.BROKEN, "Report the site for a person who is asked to help."),
    "prune": VerbEntry("prune", Panel.KEEP, "Show what the retention policy removes; --apply removes it."),
    "forget": VerbEntry("rescue.forget", Panel.KEEP, "Record what was erased: no restore brings it back."),
    "hold": VerbEntry("hold", Panel.KEEP, "Keep a backup under any policy: add, list, release."),
    "copy": VerbEntry("copy", Panel.KEEP, "Copy backups to every target, sealed."),
    "fetch": VerbEntry("fetch", Panel.KEEP, "Bring a backup back from a target."),
    "kit": VerbEntry("kit", Panel.KEEP, "Save the files that a bare server needs, encrypted."),
    "media": VerbEntry("media", Panel.KEEP, "Export from the media store, or import into it."),
    "uninstall": VerbEntry("setup.uninstall", Panel.KEEP, "Take the schedule and scripts away; list what stays."),
    "list": VerbEntry("list_", Panel.LOOK, "List the backups, newest first."),
    "show": VerbEntry("show", Panel.LOOK, "Show the manifest of a backup."),
    "compare": VerbEntry("compare", Panel.LOOK, "Show which tables, rows and files differ."),
    "browse": VerbEntry("browse", Panel.LOOK, "Look at the site as it was, in a browser."),
    "canary": VerbEntry("status.canary", Panel.LOOK, "Compare the newest backups with the site's history."),
    "checklist": VerbEntry("status.checklist", Panel.LOOK, "Answer the runbook's checklists with evidence."),
    "report": VerbEntry("status.report", Panel.LOOK, "Report a period, a drill, or the answers for auditors."),
    "metrics": VerbEntry("status.metrics", Panel.LOOK, "Print the status for Prometheus."),
    "bench": VerbEntry("bench", Panel.LOOK, "Measure backup, verification and drill."),
}
"""Only the module of the typed verb is loaded, which saves time."""
