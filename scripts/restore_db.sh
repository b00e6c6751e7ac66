#!/bin/sh
# Restore a backup after asking; anything but "yes" cancels and exits 0 (runbook 5.3.3).
set -eu
if [ $# -eq 0 ]; then
    echo "Usage: $0 <backup_file.sql.gz>"
    exit 1
fi
here=$(dirname "$(readlink -f "$0")")
PATH="$here/../.venv/bin:$here/../../../.venv/bin:$PATH"
command -v korrigo-backup >/dev/null || {
    printf 'error: korrigo-backup is not installed\nhint: python3 -m pip install FILE: its wheel, which make dist makes in a clone of the project\nstate: nothing was changed\n' >&2
    exit 2
}
korrigo-backup restore "$@" || {
    status=$?
    [ "$status" -eq 5 ] && echo "❌ Restore cancelled" && exit 0
    exit "$status"
}
