# Sourced by the scripts beside it: put the clone's own command on PATH, or say that there is none and end.
PATH="$(dirname "$(readlink -f "$0")")/../.venv/bin:$PATH"
command -v korrigo-backup >/dev/null || {
    printf 'error: %s: korrigo-backup is not installed\nhint: %s\nstate: nothing was changed\n' "$0" \
        "pip install korrigo-backup, or make setup in the clone that this script is of" >&2
    exit "${missing:-2}"
}
