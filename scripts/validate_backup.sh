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
    printf 'error: korrigo-backup is not installed\nhint: pip install DIRECTORY, a clone of the project korrigo-backup\nstate: nothing was changed\n' >&2
    exit 1
}
korrigo-backup verify "$@" || exit 1
