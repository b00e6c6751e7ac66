#!/bin/sh
# Restore a backup, by default the newest, into the staging database of [staging] (runbook 6.3). The services of a
# staging site on Compose stop meanwhile. Exit 0 when it passes, else 1.
set -eu
here=$(dirname "$(readlink -f "$0")")
PATH="$here/../.venv/bin:$here/../../../.venv/bin:$PATH"
command -v korrigo-backup >/dev/null || {
    printf 'error: korrigo-backup is not installed\nhint: python3 -m pip install FILE: its wheel, which make dist makes in a clone of the project\nstate: nothing was changed\n' >&2
    exit 1
}
echo "=== TEST RESTORE STAGING ==="
echo "1. Backup source: ${1:-the newest}"
echo "2. Restoring backup into staging..."
korrigo-backup drill ${1:+"$1"} --place staging || { echo "❌ Restore validation failed"; exit 1; }
echo ""
echo "✅ RESTORE TEST PASSED"
