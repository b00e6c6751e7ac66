#!/bin/sh
# Validate one backup file: exit 0 when it is good, 1 when it is not (runbook 4.8).
set -eu
if [ $# -eq 0 ]; then
    echo "Usage: $0 <backup_file>"
    exit 1
fi
missing=1
. "$(dirname "$(readlink -f "$0")")/find.sh"
korrigo-backup verify "$@" || exit 1
