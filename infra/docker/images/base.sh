#!/usr/bin/env bash
# Make the image $1, a minimal Debian $2 with the label $3, from the mirror that this machine's apt uses. Certificates
# that this machine trusts beside the usual ones (/usr/local/share/ca-certificates) are trusted in it too.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

IMAGE=$1 SUITE=$2 LABEL=$3
CERTIFICATES=/usr/local/share/ca-certificates
HERE=$(cd "$(dirname "$0")" && pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

die() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

# The Debian archives that this machine's apt uses, for the release SUITE; others that it may know are left out.
sources() {
    local release
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
        awk -v release="$release" -v suite="$SUITE" '$3 == "main" && $4 == "Debian" && index($2, release) == 1 {
            sub(release, suite, $2)
            line = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " $1 " " $2 " main"
            if (!seen[line]++) print line }'
}

need_mmdebstrap() {
    command -v apt-get >/dev/null || die "this is not Debian" "use the official images: docs/how-to/docker.md"
    command -v mmdebstrap >/dev/null && return
    [ "$(id -u)" = 0 ] || die "mmdebstrap is not installed" "apt-get install mmdebstrap"
    apt-get install -y -qq --no-install-recommends mmdebstrap >"$WORK/apt" 2>&1 ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends mmdebstrap >"$WORK/apt" 2>&1; } ||
        { tail "$WORK/apt" >&2; die "mmdebstrap cannot be installed" "see the lines above"; }
}

# The lists stay in the base, so that no image made on it has to fetch them.
make_base() {
    local trusted=/etc/ssl/certs/ca-certificates.crt room=${TMPDIR:-/tmp}
    local options=(--quiet --variant=apt --include=ca-certificates,tzdata --format=tar
        --aptopt='Acquire::Languages "none"' --aptopt='Acquire::GzipIndexes "true"'
        --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*'
        --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*'
        --skip=cleanup/apt/lists --customize-hook="copy-in '$HERE/apt-install' /usr/local/bin")
    if compgen -G "$CERTIFICATES/*.crt" >/dev/null; then
        options+=(--customize-hook="copy-in $(echo "$CERTIFICATES"/*.crt) $CERTIFICATES"
            --customize-hook='chroot "$1" update-ca-certificates >/dev/null 2>&1')
    fi
    need_mmdebstrap
    [ -n "$(sources)" ] || apt-get update -qq
    sources >"$WORK/sources.list"
    [ -s "$WORK/sources.list" ] || die "apt knows no Debian mirror" "add one to /etc/apt/sources.list"
    # in memory where there is room: dpkg waits for the disk thousands of times
    [ "$(df --output=avail -m /dev/shm 2>/dev/null | tail -n 1)" -gt 1500 ] 2>/dev/null && room=/dev/shm
    TMPDIR=$room mmdebstrap "${options[@]}" "$SUITE" - "$WORK/sources.list" 2>"$WORK/mmdebstrap" |
        docker import --change "LABEL $LABEL" --change "ENV LANG=C.UTF-8 SSL_CERT_FILE=$trusted PIP_CERT=$trusted" \
            --change 'CMD ["bash"]' - "$IMAGE" >/dev/null ||
        { tail -n 20 "$WORK/mmdebstrap" >&2; die "the base cannot be made" "see the lines above"; }
}

make_base
