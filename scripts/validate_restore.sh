#!/bin/sh
# Validate the live site after a restore: exit 0 when every check passed, 1 when not (runbook 5.6).
set -eu
missing=1
. "$(dirname "$(readlink -f "$0")")/find.sh"
korrigo-backup validate "$@" || exit 1
