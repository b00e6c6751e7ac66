#!/usr/bin/env bash
# Make the image of the sidecar as a file: image.sh TARGET.tar [BASE]. It is built as docker-compose.backup.yml has it.
#
# Without BASE that is an image of Docker Hub (infra/docker/sidecar/Dockerfile). Where no registry is reached, BASE is
# korrigo-test/python:3.11, which infra/docker/images/build.sh makes of Debian's packages.
set -euo pipefail
target=$1 base=${2:-}
project=$(realpath "$(dirname "$0")/../..")
. "$project/infra/docker/images/pip-configuration.sh"
name=korrigo-backup:$("$project/.venv/bin/python" -c 'import korrigo_backup; print(korrigo_backup.__version__)')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pip_configuration >"$work/pip.conf"
arguments=()
for variable in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
    [ -z "${!variable:-}" ] || arguments+=(--build-arg "$variable=${!variable}")
done
[ -z "$base" ] || arguments+=(--build-arg "BASE=$base")
DOCKER_BUILDKIT=1 docker build --quiet --tag "$name" --secret "id=pip.conf,src=$work/pip.conf" "${arguments[@]}" \
    --file "$project/infra/docker/sidecar/Dockerfile" "$project" >"$work/log" 2>&1 ||
    { tail -n 30 "$work/log" >&2; exit 1; }
mkdir -p "$(dirname "$target")"
docker save --output "$target.part" "$name"
mv "$target.part" "$target"
echo "made $target: docker load --input $target, then KORRIGO_SIDECAR_IMAGE=$name in .env"
