#!/bin/sh
# Compare the checksums of all media files before and after a backup and restore (runbook 6.5).
#
#   verify_media_integrity.sh                     save them, wait for Enter (back up and restore meanwhile), compare
#   verify_media_integrity.sh before              save them
#   verify_media_integrity.sh after               compare with what `before` saved
#   verify_media_integrity.sh COMMAND [ARG...]    save them, run the command, compare
#
# The list is ordered and in the format of sha256sum. Exit 0 when no file differs, 9 when one does.
set -eu
here=$(dirname "$(readlink -f "$0")")
PATH="$here/../.venv/bin:$here/../../../.venv/bin:$PATH"
command -v korrigo-backup >/dev/null || {
    printf 'error: korrigo-backup is not installed\nhint: python3 -m pip install FILE: its wheel, which make dist makes in a clone of the project\nstate: nothing was changed\n' >&2
    exit 2
}
directory=${KORRIGO_STATE_DIR:-$HOME/.local/state/korrigo-backup}
before="$directory/media_checksums_before.sha256"

capture() {
    (umask 077 && mkdir -p "$directory" && rm -f "$before")
    echo "1. Creating checksums..."
    korrigo-backup compare --media --save "$before"
}

compare() {
    echo "2. Verifying checksums..."
    if korrigo-backup compare "$before" --rows 20; then
        echo "✅ All media files integrity verified"
    else
        status=$?
        [ "$status" -eq 9 ] && echo "⚠️ Some media files differ"
        exit "$status"
    fi
}

echo "=== VÉRIFICATION INTÉGRITÉ MÉDIA ==="
case "${1:-}" in
before) capture ;;
after) compare ;;
"")
    capture
    [ -t 0 ] && echo "Back up and restore the media now, then press Enter" && read -r _
    compare
    ;;
*)
    capture
    "$@"
    compare
    ;;
esac
