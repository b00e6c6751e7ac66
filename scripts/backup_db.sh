#!/bin/sh
# Back up the database: BACKUP_DIR/db_backup_YYYYMMDD_HHMMSS.sql.gz, verified (runbook 4.2).
set -eu
here=$(dirname "$0")
PATH="$here/../.venv/bin:$PATH" exec korrigo-backup backup db "$@"
