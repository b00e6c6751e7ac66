#!/bin/sh
# Validate one backup file: exit 0 when it is good, 1 when it is not (runbook 4.8).
set -eu
if [ $# -eq 0 ]; then
    echo "Usage: $0 <backup_file>"
    exit 1
fi
here=$(dirname "$(readlink -f "$0")")
PATH="$here/../.venv/bin:$here/../../../.venv/bin:$PATH"
command -v korrigo-backup >/dev/null || {
    printf 'error: korrigo-backup is not installed\nhint: python3 -m pip install FILE: its wheel, which make dist makes in a clone of the project\nstate: nothing was changed\n' >&2
    exit 1
}
korrigo-backup verify "$@" || exit 1
