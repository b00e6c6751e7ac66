#!/bin/sh
# Make the image of the sidecar as a file: image.sh TARGET.tar [BASE]. It is built as docker-compose.backup.yml has it.
#
# Without BASE that is an image of Docker Hub (infra/docker/sidecar/Dockerfile). Where no registry is reached, BASE is
# korrigo-test/python:3.11, which infra/docker/images/build.sh makes of Debian's packages.
set -eu
target=$1 base=${2:-}
here=$(dirname "$(realpath "$0")")
project=$(realpath "$here/../..")
name=korrigo-backup:$("$project/.venv/bin/python" -c 'import korrigo_backup; print(korrigo_backup.__version__)')

set -- --quiet --tag "$name" --file "$project/infra/docker/sidecar/Dockerfile"
[ -z "$base" ] || set -- "$@" --build-arg "BASE=$base"
[ ! -f "${PIP_CONFIG_FILE:-}" ] || set -- "$@" --secret "id=pip.conf,src=$PIP_CONFIG_FILE"
DOCKER_BUILDKIT=1 docker build "$@" "$project" >/dev/null
docker save --output "$target.part" "$name"
mv "$target.part" "$target"
echo "made $target: docker load --input $target; then KORRIGO_SIDECAR_IMAGE=$name in .env"
