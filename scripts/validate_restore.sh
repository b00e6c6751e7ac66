#!/bin/sh
# Validate the live site after a restore: exit 0 when every check passed, 1 when not (runbook 5.6).
set -eu
here=$(dirname "$(readlink -f "$0")")
PATH="$here/../.venv/bin:$here/../../../.venv/bin:$PATH"
command -v korrigo-backup >/dev/null || {
    printf 'error: korrigo-backup is not installed\nhint: python3 -m pip install FILE: its wheel, which make dist makes in a clone of the project\nstate: nothing was changed\n' >&2
    exit 1
}
korrigo-backup validate "$@" || exit 1
