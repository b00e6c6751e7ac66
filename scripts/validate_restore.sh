#!/bin/sh
# Validate the live site after a restore: exit 0 when every check passed, 1 when not (runbook 5.6).
set -eu
here=$(dirname "$0")
PATH="$here/../.venv/bin:$PATH" korrigo-backup validate "$@" || exit 1
