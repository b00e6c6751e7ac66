#!/bin/sh
# Test the backup of the day: make one, and read it back to its last row (runbook 6.2). Exit 0 when it passes, else 1.
set -eu
here=$(dirname "$(readlink -f "$0")")
PATH="$here/../.venv/bin:$here/../../../.venv/bin:$PATH"
command -v korrigo-backup >/dev/null || {
    printf 'error: korrigo-backup is not installed\nhint: python3 -m pip install FILE: its wheel, which make dist makes in a clone of the project\nstate: nothing was changed\n' >&2
    exit 1
}
echo "=== TEST BACKUP QUOTIDIEN ==="
echo "1. Création backup..."
korrigo-backup backup db || { echo "❌ Backup failed"; exit 1; }
echo "2. Test intégrité, décompression, contenu..."
found=$(korrigo-backup verify latest) || { echo "❌ Corrupted backup"; exit 1; }
echo "$found"
last=${found##*: }
echo ""
echo "✅ BACKUP TEST PASSED"
echo "📊 Backup size: $(du -h "$last" | cut -f1)"
echo "🕒 Backup age: $(date -r "$last" '+%Y-%m-%d %H:%M:%S')"
