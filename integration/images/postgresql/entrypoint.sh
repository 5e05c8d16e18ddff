#!/bin/bash
# POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB mean what they mean in the official image.
set -euo pipefail

create_cluster() {
    local user=${POSTGRES_USER:-postgres}
    initdb --username="$user" --pwfile=<(echo "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD must be set}") --auth-local=trust \
        --auth-host=scram-sha-256 > /dev/null
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    create_database "$user" "${POSTGRES_DB:-$user}"
}

create_database() {
    [[ $2 != postgres ]] || return 0
    # Not yet on TCP: a client that connects at this time would be cut off when the server starts again below.
    pg_ctl start --wait --silent --options="-c listen_addresses=''" > /dev/null
    createdb --username="$1" "$2"
    pg_ctl stop --wait --silent
}

if [[ $1 == postgres ]]; then
    [[ -s $PGDATA/PG_VERSION ]] || create_cluster
    set -- "$@" -c listen_addresses='*'
fi
exec "$@"
