#!/bin/sh
# Compare the state of the database before and after a restore: tables, rows, users, structure (runbook 6.5).
#
#   compare_db_state.sh                     save the state, wait for Enter (do the restore meanwhile), compare
#   compare_db_state.sh before              save the state
#   compare_db_state.sh after               compare with what `before` saved
#   compare_db_state.sh COMMAND [ARG...]    save the state, run the command, compare
#
# Exit 0 when nothing differs, 9 when something does. The state is kept in KORRIGO_STATE_DIR, for the owner alone.
set -eu
here=$(dirname "$(readlink -f "$0")")
PATH="$here/../.venv/bin:$here/../../../.venv/bin:$PATH"
command -v korrigo-backup >/dev/null || {
    printf 'error: korrigo-backup is not installed\nhint: python3 -m pip install FILE: its wheel, which make dist makes in a clone of the project\nstate: nothing was changed\n' >&2
    exit 2
}
directory=${KORRIGO_STATE_DIR:-$HOME/.local/state/korrigo-backup}
before="$directory/pre_restore_state.json"

capture() {
    (umask 077 && mkdir -p "$directory" && rm -f "$before")
    echo "1. Capturing pre-restore state..."
    korrigo-backup compare --save "$before"
}

compare() {
    echo "2. Capturing post-restore state..."
    echo "3. Comparing states..."
    korrigo-backup compare "$before"
}

echo "=== COMPARAISON DB PRE/POST RESTORE ==="
case "${1:-}" in
before) capture ;;
after) compare ;;
"")
    capture
    [ -t 0 ] && echo "Do the restore now, then press Enter" && read -r _
    compare
    ;;
*)
    capture
    "$@"
    compare
    ;;
esac
