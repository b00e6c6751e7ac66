#!/bin/sh
# Validate the live site after a restore: exit 0 when every check passed, 1 when not (runbook 5.6).
set -eu
here=$(dirname "$(readlink -f "$0")")
PATH="$here/../.venv/bin:$here/../../../.venv/bin:$PATH"
command -v korrigo-backup >/dev/null || {
    printf 'error: korrigo-backup is not installed\nhint: pip install DIRECTORY, a clone of the project korrigo-backup\nstate: nothing was changed\n' >&2
    exit 1
}
korrigo-backup validate "$@" || exit 1
