#!/bin/sh
# Make the program as one file: zipapp.sh WHEEL TARGET (docs/decisions/0047-one-file-made-with-pex.md).
#
# It holds the libraries of the lock file, those of the extras kit and s3, too, for each Python of PYTHONS. It is for the
# kind of processor that it is made on.
set -eu
wheel=$(realpath "$1") target=$(realpath "$2")
here=$(dirname "$(realpath "$0")")
project=$here/../..
python=$project/.venv/bin/python
PYTHONS=${PYTHONS:-3.11 3.12 3.13 3.14}
EXTRAS=kit,s3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
pip() { "$python" -m pip --quiet --disable-pip-version-check "$@"; }

"$python" -m venv "$work/pex"
"$python" -m pip --python "$work/pex/bin/python" install --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary :all: --requirement "$project/requirements/dist.txt"

# what the program needs is found by pip without hashes, and fetched with those of the lock file
sed 's/ *\\$//; /^ *--hash=/d' "$project/requirements/dev.txt" >"$work/versions.txt"
pip install --dry-run --ignore-installed --only-binary :all: --report "$work/report.json" --constraint "$work/versions.txt" "$wheel[$EXTRAS]"
"$python" "$project/infra/docker/sidecar/lock.py" "$work/report.json" "$project/requirements/dev.txt" >"$work/run.txt"
set -- --platform current
for version in $PYTHONS; do
    pip download --dest "$work/wheels" --no-deps --require-hashes --only-binary :all: --python-version "$version" \
        --requirement "$work/run.txt"
    short=$(echo "$version" | tr -d .)
    set -- "$@" --platform "linux-$(uname -m)-cp-$short-cp$short"
done
cp "$wheel" "$work/wheels"
version=$("$python" -c 'import korrigo_backup; print(korrigo_backup.__version__)')
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-315532800} PEX_ROOT=$work/root "$work/pex/bin/pex" "$@" --no-pypi --find-links "$work/wheels" --venv --sh-boot \
    --script korrigo-backup --output-file "$target" "korrigo-backup[$EXTRAS]==$version" 2>"$work/log" ||
    { cat "$work/log" >&2; exit 1; }
chmod 755 "$target"
