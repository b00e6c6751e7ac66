#!/bin/sh
# Back up the database: BACKUP_DIR/db_backup_YYYYMMDD_HHMMSS.sql.gz, verified (runbook 4.2).
set -eu
. "$(dirname "$(readlink -f "$0")")/find.sh"
exec korrigo-backup backup db "$@"
