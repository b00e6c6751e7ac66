#!/bin/sh
# Back up the database: BACKUP_DIR/db_backup_YYYYMMDD_HHMMSS.sql.gz, verified (runbook 4.2).
set -eu
here=$(dirname "$(readlink -f "$0")")
PATH="$here/../.venv/bin:$here/../../../.venv/bin:$PATH"
command -v korrigo-backup >/dev/null || {
    printf 'error: korrigo-backup is not installed\nhint: python3 -m pip install FILE: its wheel, which make dist makes in a clone of the project\nstate: nothing was changed\n' >&2
    exit 2
}
exec korrigo-backup backup db "$@"
