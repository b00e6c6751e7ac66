#!/usr/bin/env bash
# Make the images of the stack without any image registry, from Debian's packages and PyPI:
# korrigo-test/db:15, redis, nginx, the backend of backend/Dockerfile, and the sidecar of sidecar/Dockerfile.
#
#   build.sh [--force]
#
# Each image carries a key made from all that went into it, and is built again only when that changed. The Debian
# mirror is the one that this machine's apt uses. Certificates that this machine trusts beside the usual ones
# (/usr/local/share/ca-certificates), its proxy variables and its pip index are good inside the builds too.
# Needs a Docker engine with buildx, and mmdebstrap (installed when root runs this on Debian).
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 DOCKER_BUILDKIT=1

SUITE=bookworm # the Debian release that has PostgreSQL 15 and Python 3.11
PREFIX=korrigo-test
LABEL=korrigo-test.key
CERTIFICATES=/usr/local/share/ca-certificates
HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=$(cd "$HERE/../../.." && pwd)
. "$HERE/pip-configuration.sh"
FORCE=${1:-}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

say() { printf 'images (%3d s): %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

# The names and contents of the files and directories given, as one hash.
hash_of() {
    { find "$@" -type f ! -name '*.pyc' ! -path '*/demo/media/*' ! -path '*/demo/static/*' -print0 2>/dev/null | sort -z |
        xargs -0 --no-run-if-empty sha256sum; } | sed "s|$PROJECT/||" | sha256sum | cut -c 1-16
}
key_of() { docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$1" 2>/dev/null || true; }
up_to_date() { [ "$FORCE" != --force ] && [ "$(key_of "$1")" = "$2" ]; }

# ---- the images on it --------------------------------------------------------------------------------------------

build_arguments() {
    local name
    for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
        [ -z "${!name:-}" ] || printf -- '--build-arg\n%s=%s\n' "$name" "${!name}"
    done
}

# Build the image $1 with key $2; the rest are arguments of docker build.
build() {
    local image=$1 key=$2 log former
    log=$WORK/${1//[\/:]/-}.log
    former=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null || true)
    shift 2
    docker build --quiet --label "$LABEL=$key" --tag "$image" "${ARGUMENTS[@]}" "$@" >"$log" 2>&1 ||
        { tail -n 30 "$log" >&2; die "$image cannot be built" "see the lines above"; }
    say "built $image"
    [ -z "$former" ] || docker image rm "$former" >/dev/null 2>&1 || true # unless it is the same, or in use
}

ensure() {
    local image=$1 base=$2 key
    shift 2
    key=$(docker image inspect --format '{{.Id}}' "$base" | cat - <(hash_of "${INPUTS[@]}") | sha256sum | cut -c 1-16)
    up_to_date "$image" "$key" || build "$image" "$key" --build-arg "BASE=$base" "$@"
}

ensure_service() {
    INPUTS=("$HERE/$1")
    ensure "$2" "$BASE" "$HERE/$1"
}

ensure_python() {
    ensure_service python "$PREFIX/python:3.11"
    pip_configuration >"$WORK/pip.conf"
}

ensure_sidecar() {
    local docker=$PROJECT/infra/docker
    INPUTS=("$docker/sidecar" "$docker/backend/build.txt" "$PROJECT/src" "$PROJECT/requirements/dev.txt"
        "$PROJECT/pyproject.toml" "$PROJECT/LICENSE")
    ensure "$PREFIX/backup:latest" "$PREFIX/python:3.11" --secret "id=pip.conf,src=$WORK/pip.conf" \
        --file "$docker/sidecar/Dockerfile" "$PROJECT"
}

# The same two images with busybox: what a site on Alpine has in its containers.
ensure_lean() {
    INPUTS=("$HERE/lean")
    ensure "$PREFIX/db-lean:15" "$PREFIX/db:15" "$HERE/lean"
    ensure "$PREFIX/backend-lean:latest" "$PREFIX/backend:latest" "$HERE/lean"
}

ensure_backend() {
    local docker=$PROJECT/infra/docker
    INPUTS=("$docker/backend" "$PROJECT/src" "$PROJECT/demo" "$PROJECT/pyproject.toml" "$PROJECT/LICENSE")
    ensure "$PREFIX/backend:latest" "$PREFIX/python:3.11" --secret "id=pip.conf,src=$WORK/pip.conf" \
        --file "$docker/backend/Dockerfile" "$PROJECT"
}

BASE=$PREFIX/base:$SUITE
key=$(hash_of "$HERE/base.sh" "$HERE/apt-install" "$CERTIFICATES")
if ! up_to_date "$BASE" "$key"; then
    say "making the base, Debian $SUITE"
    "$HERE/base.sh" "$BASE" "$SUITE" "$LABEL=$key"
    say "made $BASE"
fi

mapfile -t ARGUMENTS < <(build_arguments)
jobs=()
ensure_python
ensure_backend & jobs+=($!)
ensure_sidecar & jobs+=($!)
ensure_service db "$PREFIX/db:15" & jobs+=($!)
ensure_service nginx "$PREFIX/nginx:latest" & jobs+=($!)
ensure_service redis "$PREFIX/redis:latest" & jobs+=($!)
failed=0
for job in "${jobs[@]}"; do wait "$job" || failed=1; done
[ $failed = 0 ] || exit 1
ensure_lean
say "all there"
