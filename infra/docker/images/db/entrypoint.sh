#!/usr/bin/env bash
# Keeps the contract of the official postgres image: on an empty data directory, a cluster whose superuser is
# POSTGRES_USER, the database POSTGRES_DB, then what lies in /docker-entrypoint-initdb.d; afterwards the server.
set -euo pipefail

[ "${1:-postgres}" = postgres ] || [ "${1:0:1}" = - ] || exec "$@"
[ "${1:-}" = postgres ] && shift

as_postgres=()
if [ "$(id -u)" = 0 ]; then
    as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/var/lib/postgresql)
    install -d -o postgres -g postgres -m 0700 "$PGDATA"
    install -d -o postgres -g postgres -m 3775 /var/run/postgresql
    find "$PGDATA" ! -user postgres -exec chown postgres:postgres {} +
fi

# Read the variable $1 from the file that $1_FILE names, if it does; its default is $2.
setting() {
    local file=${1}_FILE
    [ -z "${!file:-}" ] || export "$1=$(cat "${!file}")"
    [ -n "${!1:-}" ] || export "$1=${2:-}"
}

initialise() {
    setting POSTGRES_PASSWORD
    setting POSTGRES_USER postgres
    setting POSTGRES_DB "$POSTGRES_USER"
    setting POSTGRES_INITDB_ARGS
    setting POSTGRES_HOST_AUTH_METHOD scram-sha-256
    if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
        echo 'error: the database is not initialised and POSTGRES_PASSWORD is not set' >&2
        exit 1
    fi
    local arguments
    read -ra arguments <<<"$POSTGRES_INITDB_ARGS"
    if [ -n "$POSTGRES_PASSWORD" ]; then
        # a file, since initdb opens it again as another user
        local file
        file=$(mktemp)
        printf '%s\n' "$POSTGRES_PASSWORD" >"$file"
        [ "$(id -u)" != 0 ] || chown postgres "$file"
        arguments+=(--pwfile="$file")
    fi
    "${as_postgres[@]}" initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" "${arguments[@]}"
    rm -f "${file:-}"
    echo "host all all all $POSTGRES_HOST_AUTH_METHOD" >>"$PGDATA/pg_hba.conf"

    # on the socket only, so that nobody outside takes the half-made cluster for the server
    "${as_postgres[@]}" pg_ctl --pgdata="$PGDATA" --wait -o "-c listen_addresses=''" start
    [ "$POSTGRES_DB" = postgres ] || run_sql postgres --set=name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
    local script
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
            *.sh) if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
            *.sql) run_sql "$POSTGRES_DB" <"$script" ;;
            *.sql.gz) gunzip -c "$script" | run_sql "$POSTGRES_DB" ;;
        esac
    done
    "${as_postgres[@]}" pg_ctl --pgdata="$PGDATA" --wait --mode=fast stop
}

run_sql() {
    local database=$1
    shift
    PGPASSWORD=$POSTGRES_PASSWORD psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$database" "$@"
}

[ -s "$PGDATA/PG_VERSION" ] || initialise
exec "${as_postgres[@]}" postgres -c listen_addresses='*' "$@"
