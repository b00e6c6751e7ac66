#!/bin/sh
# Restore a backup after asking; anything but "yes" cancels and exits 0 (runbook 5.3.3).
set -eu
if [ $# -eq 0 ]; then
    echo "Usage: $0 <backup_file.sql.gz>"
    exit 1
fi
. "$(dirname "$(readlink -f "$0")")/find.sh"
korrigo-backup restore "$@" || {
    status=$?
    [ "$status" -eq 5 ] && echo "❌ Restore cancelled" && exit 0
    exit "$status"
}
