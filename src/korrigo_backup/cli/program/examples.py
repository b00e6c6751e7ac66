"""Two examples of each verb, for its help; a test parses them."""

from __future__ import annotations

EXAMPLES = {
    "adopt": (
        ("korrigo-backup adopt", "after a new server or a renamed database"),
        ("korrigo-backup adopt --new-key", "the former signing key is lost"),
    ),
    "backup": (
        ("korrigo-backup backup full", "database and media, as one restore point"),
        ("korrigo-backup backup full --pre-deployment", "kept for ever"),
    ),
    "bench": (
        ("korrigo-backup bench", "each step once"),
        ("korrigo-backup bench --repeat 5 --json", "medians, for a program"),
    ),
    "browse": (
        ("korrigo-backup browse", "the newest restore point"),
        ("korrigo-backup browse 2026-05-04 --as marie", "of a day, logged in as marie"),
    ),
    "canary": (
        ("korrigo-backup canary", "the newest backups and the usual state"),
        ('korrigo-backup canary accept --reason "archived"', "end an alarm"),
    ),
    "checklist": (
        ("korrigo-backup checklist", "the daily list (runbook 9.2)"),
        ("korrigo-backup checklist release", "before a release (runbook 6.7)"),
    ),
    "compare": (
        ("korrigo-backup compare latest-point", "what changed on the site since"),
        ("korrigo-backup compare before -T exams_copy", "one table, since the last restore"),
    ),
    "completion": (
        ("korrigo-backup completion bash", "for /etc/bash_completion.d/korrigo-backup"),
        ("korrigo-backup completion zsh", "for _korrigo-backup in a directory of fpath"),
    ),
    "copy": (
        ("korrigo-backup copy", "all good backups, to every target"),
        ("korrigo-backup copy latest --to nas", "one backup, to one target"),
    ),
    "diagnose": (
        ("korrigo-backup diagnose", "print it"),
        ("korrigo-backup diagnose --archive report.tar.gz", "one file to send"),
    ),
    "doctor": (
        ("korrigo-backup doctor", "check everything"),
        ("korrigo-backup doctor --fix", "first repair what is safe"),
    ),
    "drill": (
        ("korrigo-backup drill", "the newest backup, next to the live data"),
        ("korrigo-backup drill --anonymise rules.toml --to copy", "an anonymised copy for developers"),
    ),
    "explain": (
        ("korrigo-backup explain disk.full", "the id that a hint names"),
        ("korrigo-backup explain --last", "the last error of the journal"),
    ),
    "fetch": (
        ("korrigo-backup fetch nas", "the newest good backup there"),
        ("korrigo-backup fetch nas latest-point --identity key.txt", "a sealed restore point"),
    ),
    "forget": (
        ('korrigo-backup forget accounts.User:12 --reason "request 2026-17"', "before the site deletes it"),
        ("korrigo-backup forget --list", "the ledger, and which entries may go"),
    ),
    "guard": (
        ("korrigo-backup guard -- python manage.py migrate", "asks before it goes back"),
        ("korrigo-backup guard --on-failure restore -- ./deploy.sh", "goes back by itself"),
    ),
    "history": (
        ("korrigo-backup history exams.Exam:12", "an object in each backup, and now"),
        ("korrigo-backup history --table exams_exam --changed", "rows that changed since the last backup"),
    ),
    "hold": (
        ('korrigo-backup hold add latest-point --reason "appeal" --until 2027-01-31', ""),
        ("korrigo-backup hold release latest-point", ""),
    ),
    "init": (
        ("korrigo-backup init", "in the project's directory"),
        ("korrigo-backup init --dry-run", "only show the file"),
    ),
    "kit": (
        ("korrigo-backup kit make", "save what has changed"),
        ("korrigo-backup kit open FILE --identity key.txt --to kit", "on a bare server"),
    ),
    "list": (
        ("korrigo-backup list", "all backups"),
        ("korrigo-backup list --on nas", "the copies on a target"),
    ),
    "media": (
        ("korrigo-backup media export latest-media", "the runbook's tar.gz, here"),
        ("korrigo-backup media import media_backup_20260504_030000.tar.gz", ""),
    ),
    "metrics": (
        ("korrigo-backup metrics", "print them"),
        ("korrigo-backup metrics --textfile /var/lib/node_exporter/backup.prom", ""),
    ),
    "nightly": (
        ("korrigo-backup nightly --full", "database and media"),
        ("korrigo-backup nightly --depth full --wait 30m", "loaded and proven, too"),
    ),
    "notify": (
        ("korrigo-backup notify test", "send a trial to every channel"),
        ("korrigo-backup notify overdue --max-age 26h", "for a schedule of its own"),
    ),
    "plan": (
        ("korrigo-backup plan latest-point", "database and media"),
        ('korrigo-backup plan --at "2026-05-04 14:05"', "the state of that time"),
    ),
    "point": (
        ("korrigo-backup point", "now"),
        ("korrigo-backup point --json", "for a program"),
    ),
    "prune": (
        ("korrigo-backup prune", "the plan, with the reasons"),
        ("korrigo-backup prune --apply", "remove"),
    ),
    "rebuild": (
        ("korrigo-backup rebuild", "from the newest backup that is good"),
        ("korrigo-backup rebuild --empty", "only the tables of the migrations"),
    ),
    "rehearse": (
        ("korrigo-backup rehearse --image registry/site:2.4", "on the newest restore point"),
        ("korrigo-backup rehearse latest --checkout ../new/backend", "the code of a work tree, on the newest dump"),
    ),
    "report": (
        ("korrigo-backup report --from 2026-01-01 --to 2026-03-31", "a quarter"),
        ("korrigo-backup report drill --html drill.html", "the last drill, for a printer"),
    ),
    "rescue": (
        ("korrigo-backup rescue", "what is lost, since when, and the ways back"),
        ("korrigo-backup rescue exams.Exam:12", "one object, a table, or a file"),
    ),
    "requests": (
        ("korrigo-backup requests", "those that wait, and the last ones"),
        ("korrigo-backup requests approve 3f9a", "see the plan again, and carry it out"),
    ),
    "restore": (
        ("korrigo-backup restore latest-point --dry-run", "the plan"),
        ('korrigo-backup restore --at "2026-05-04 14:05"', "the state of that time"),
    ),
    "revert": (
        ('korrigo-backup revert --table exams_exam --at "2026-05-04 14:00" --dry-run', "the plan"),
        ('korrigo-backup revert -T exams_exam -c name --where "id < 9" --from 2026-05-04', "one column of some rows"),
    ),
    "rollback": (
        ("korrigo-backup rollback", "the data before the last restore"),
        ("korrigo-backup rollback --to after", "undo the last rollback"),
    ),
    "schedule": (
        ("korrigo-backup schedule install", "timers of systemd, or cron"),
        ("korrigo-backup schedule show", "the jobs and their next runs"),
    ),
    "seal": (
        ("korrigo-backup seal init --to /media/usb/korrigo.key", ""),
        ("korrigo-backup seal check --identity /media/usb/korrigo.key", ""),
    ),
    "show": (
        ("korrigo-backup show", "the newest good dump"),
        ("korrigo-backup show 2026-05-04 --json", "that of a day, the whole manifest"),
    ),
    "status": (
        ("korrigo-backup status", "one screen"),
        ("korrigo-backup status --nagios", "a line for monitoring"),
    ),
    "undelete": (
        ("korrigo-backup undelete exams.Exam:12 --dry-run", "the plan"),
        ('korrigo-backup undelete --table exams_copy --where "exam_id = 12"', "the rows of a condition"),
    ),
    "uninstall": (
        ("korrigo-backup uninstall --dry-run", "what would go, and what would stay"),
        ("korrigo-backup uninstall --yes", "without a question"),
    ),
    "validate": (
        ("korrigo-backup validate", "the live site"),
        ("korrigo-backup validate latest-point --strict", "and its content against a backup"),
    ),
    "verify": (
        ("korrigo-backup verify all", "every backup"),
        ("korrigo-backup verify latest --depth full", "load it beside, prove it, remove it"),
    ),
}
"""By verb: a command line, and what it is for, which may be empty."""
