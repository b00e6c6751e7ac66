#!/bin/sh
# Make the development environment in the directory $1 from the lock file, or say what is missing.
set -eu
venv=$1
python=${PYTHON:-python3}

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "there is no $python" "install Python 3.11 or newer"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old" "install Python 3.11 or newer, or name one: make PYTHON=python3.11"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "Python's venv module is missing" "on Debian: apt-get install python3-venv"

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
echo "installing the locked requirements into $venv ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --require-hashes --requirement requirements/dev.txt
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --no-build-isolation --editable .
touch "$venv/ready"
