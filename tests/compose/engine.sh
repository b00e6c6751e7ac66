#!/usr/bin/env bash
# A Docker engine with Compose for the tests: the one that runs, or Debian's own, installed and started.
#
#   engine.sh         make sure that there is one; status 3 and the reason when none can be had
#   engine.sh stop    stop the engine that this script started, and no other
#
# Docker comes from Debian's packages. Those of Debian 12 are older than the runbook asks for: there the engine, Compose
# and buildx are taken from Debian 13, from the mirror and with the keys that this machine's apt uses; what they need
# comes from Debian 12 itself. Where systemd runs, it starts the engine.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

ENGINE_LEAST=24.0 COMPOSE_LEAST=2.20 # runbook 2.2
NEWER=trixie                         # the first Debian release that has both
PLUGINS=/usr/local/lib/docker/cli-plugins
STATE=/run/korrigo-test-engine       # pid and log of an engine that we started
START_LIMIT=60                       # seconds until the engine must answer
STOP_LIMIT=90                        # seconds until an engine that is to stop is killed
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

say() { printf 'engine: %s\n' "$*" >&2; }
none() { printf 'no Docker engine: %s\nhint: %s\n' "$1" "$2" >&2; exit 3; }

answers() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }
compose_is_new_enough() {
    local version
    version=$(docker compose version --short 2>/dev/null) && at_least "${version#v}" "$COMPOSE_LEAST"
}

may_install() {
    [ "$(id -u)" = 0 ] || none "$1, and only root can install it" "install and start Docker, or run this as root"
    command -v apt-get >/dev/null ||
        none "$1, and this is not Debian" "install Docker and Compose $COMPOSE_LEAST or newer by hand"
}

apt_quietly() {
    apt-get -qq "$@" >"$WORK/log" 2>&1 || { tail -n 15 "$WORK/log" >&2; return 1; }
}

install_docker() {
    local candidate
    apt_quietly update || none "apt-get update failed" "see the lines above"
    candidate=$(apt-cache policy docker.io | awk '$1 == "Candidate:" {print $2}')
    if at_least "$candidate" "$ENGINE_LEAST"; then
        say "installing docker.io $candidate"
        apt_quietly install -y --no-install-recommends docker.io docker-cli iptables ca-certificates
    else
        say "installing docker.io from Debian $NEWER, since the one here is $candidate"
        fetch docker.io docker-cli &&
            apt_quietly install -y --no-install-recommends "$WORK"/docker.io_*.deb "$WORK"/docker-cli_*.deb iptables ca-certificates
    fi || none "Docker cannot be installed" "see the lines above"
}

# The mirror that this machine gets Debian's main archive from.
mirror() {
    local release
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk -v release="$release" '$2 == release && $3 == "main" {print $1; exit}'
}

# Download the packages given, of the release NEWER, into WORK. The machine's own lists stay as they are.
fetch() {
    local apart=(-o Dir::Etc::sourcelist="$WORK/list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$WORK/lists"
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root -o Acquire::Languages=none)
    if [ ! -e "$WORK/list" ]; then
        local source
        source=$(mirror)
        [ -n "$source" ] || { apt_quietly update; source=$(mirror); }
        [ -n "$source" ] || none "apt knows no Debian mirror" "add one to /etc/apt/sources.list"
        mkdir -p "$WORK/lists/partial"
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $source $NEWER main" >"$WORK/list"
        apt_quietly "${apart[@]}" update || { rm "$WORK/list"; return 1; }
    fi
    (cd "$WORK" && apt_quietly "${apart[@]}" download "$@")
}

# Put the docker plug-in $1 where docker looks for it, out of Debian's package of the same name.
plugin() {
    say "taking $1 from Debian $NEWER"
    fetch "$1" || return 1
    dpkg-deb --fsys-tarfile "$WORK/$1"_*.deb | tar -x -C "$WORK" "./usr/libexec/docker/cli-plugins/$1"
    install -D -m 0755 "$WORK/usr/libexec/docker/cli-plugins/$1" "$PLUGINS/$1"
}

start_engine() {
    say "starting the engine"
    if [ -d /run/systemd/system ]; then
        systemctl start docker
        wait_for_answer "" || none "systemd started docker, but it does not answer" "journalctl -u docker"
        return
    fi
    mkdir -p "$STATE"
    [ -e /sys/fs/cgroup/cgroup.controllers ] || [ -d /sys/fs/cgroup/memory ] ||
        mount -t cgroup2 none /sys/fs/cgroup || none "control groups cannot be mounted" "run on a machine that allows it"
    # overlay2 first: vfs copies a whole image for every container
    for driver in overlay2 vfs; do
        : >"$STATE/log"
        setsid nohup dockerd --storage-driver "$driver" >"$STATE/log" 2>&1 </dev/null &
        echo $! >"$STATE/pid"
        wait_for_answer "$(cat "$STATE/pid")" && return
        stop_engine
    done
    tail -n 10 "$STATE/log" >&2
    none "dockerd does not start here" "see the lines above; it needs a machine, or a container, with all privileges"
}

# True once the engine answers; false when the process $1 ended or the time is over.
wait_for_answer() {
    local end=$((SECONDS + START_LIMIT))
    while [ $SECONDS -lt $end ]; do
        answers && return 0
        [ -z "$1" ] || kill -0 "$1" 2>/dev/null || return 1
        sleep 0.3
    done
    return 1
}

# True once none of the processes $2… is there any more; false after $1 seconds.
ended() {
    local end=$((SECONDS + $1)) pid
    shift
    for pid; do
        while [ -d "/proc/$pid" ]; do
            [ $SECONDS -lt $end ] || return 1
            sleep 0.2
        done
    done
}

stop_engine() {
    [ -s "$STATE/pid" ] || return 0
    local pid
    pid=$(cat "$STATE/pid")
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
        local children
        children=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true) # its containerd
        kill "$pid"
        # containers get their grace, Celery a minute; a worker whose broker went first may not end by itself
        ended "$STOP_LIMIT" "$pid" || {
            say "the engine does not stop by itself within $STOP_LIMIT s: killed"
            kill -9 "$pid" $children 2>/dev/null || true
            ended 30 "$pid" $children || true
        }
    fi
    rm -f "$STATE/pid"
}

if [ "${1:-}" = stop ]; then
    stop_engine
    exit 0
fi

if ! answers; then
    [ -z "${DOCKER_HOST:-}" ] || none "the one that DOCKER_HOST names does not answer" "start it, or unset DOCKER_HOST"
    if ! command -v dockerd >/dev/null; then
        may_install "Docker is not installed"
        install_docker
    fi
    [ "$(id -u)" = 0 ] || none "it does not run, or you may not use it" "start it; join the group docker"
    start_engine
fi
version=$(docker version --format '{{.Server.Version}}')
at_least "$version" "$ENGINE_LEAST" || say "the engine that runs is $version; the runbook asks for $ENGINE_LEAST"
if ! compose_is_new_enough; then
    may_install "Docker is there, Compose $COMPOSE_LEAST is not"
    plugin docker-compose || none "Compose cannot be had" "see the lines above"
    compose_is_new_enough || none "the Compose plug-in does not run" "docker compose version"
fi
if ! docker buildx version >/dev/null 2>&1; then
    may_install "Docker is there, buildx is not"
    plugin docker-buildx || none "buildx cannot be had" "see the lines above"
fi
printf 'engine %s, client %s, compose %s, storage %s\n' "$(docker version --format '{{.Server.Version}}')" \
    "$(docker version --format '{{.Client.Version}}')" "$(docker compose version --short)" "$(docker info --format '{{.Driver}}')"
