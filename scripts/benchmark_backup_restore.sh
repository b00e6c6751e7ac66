#!/bin/sh
# Measure backup and restore on this site's data; the live data are not changed (runbook 6.6). Exit 0 or the code of bench.
set -eu
here=$(dirname "$(readlink -f "$0")")
PATH="$here/../.venv/bin:$here/../../../.venv/bin:$PATH"
command -v korrigo-backup >/dev/null || {
    printf 'error: korrigo-backup is not installed\nhint: python3 -m pip install FILE: its wheel, which make dist makes in a clone of the project\nstate: nothing was changed\n' >&2
    exit 2
}
exec korrigo-backup bench "$@"
