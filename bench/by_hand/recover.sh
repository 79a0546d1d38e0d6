#!/bin/bash
# What `ccdr recover` stands for, with restic and the servers' own tools: every store onto a new server or directory,
# all side by side, with the tools' own checks. Prints how long each took, in seconds; the whole is as long as the longest.
# Each store's variable says ID:DIRECTORY of its snapshot, as `restic restore` takes it; STORES names those there are.
set -euo pipefail
: "${WORK:?}" "${NAME:?}" "${STORES:?}" "${RESTIC_REPOSITORY:?}" "${RESTIC_PASSWORD_FILE:?}" "${POSTGRES:?}" "${MARIADB:?}"
: "${REDIS:?}"

new=$WORK/new in=$WORK/in
mkdir -p "$new" "$in"

fetch() { restic restore --quiet "$2" --target "$in/$1"; } # STORE ID:DIRECTORY
same() {                                                   # STORE: every captured file is what was taken down of it
  cd "$in/$1" && jq -r '.files | to_entries[] | "\(.value.sha256)  \(.key)"' ccdr-manifest.json | sha256sum --quiet -c -
}
box() { # STORE IMAGE USER DATA: a container without a network, its data on this host
  mkdir -p "$new/$1" && chmod 777 "$new/$1" && chmod -R a+rX "$in/$1"
  docker run -d --name "$NAME-$1" --network none --user "$3" --log-driver none --shm-size 256m --tmpfs /tmp:mode=1777 \
    --mount "type=bind,src=$in/$1,dst=/in" --mount "type=bind,src=$new/$1,dst=$4" --entrypoint sleep "$2" infinity > /dev/null
}
on() { store=$1 && shift && docker exec -i "$NAME-$store" "$@"; }

# --- PostgreSQL ---
postgres_dump() { # STORE ID:DIRECTORY DATABASE
  fetch "$1" "$2" && same "$1"
  box "$1" "$POSTGRES" postgres /var/lib/postgresql
  on "$1" initdb -D /var/lib/postgresql/data -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-instructions -k > /dev/null
  on "$1" pg_ctl -D /var/lib/postgresql/data -w -s -l /tmp/log -o "-c listen_addresses= -k /tmp" start > /dev/null
  on "$1" psql -X -q -h /tmp -U postgres -f /in/roles.sql > /dev/null 2>&1
  on "$1" pg_restore -h /tmp -U postgres -C -j2 --exit-on-error --no-tablespaces -d postgres /in/dump
  identical_dump "$1" "$3"
  on "$1" pg_amcheck -h /tmp -U postgres -j2 --heapallindexed --install-missing "$3"
  on "$1" pg_ctl -D /var/lib/postgresql/data -m fast -w -s stop
}
identical_dump() { # the restored database, dumped again, has the same tables' contents and the same definitions
  mkdir -p "$WORK/again" && chmod 777 "$WORK/again"
  on "$1" pg_dump -h /tmp -U postgres -Fd -j2 -Z0 --no-sync -f /tmp/again "$2"
  on "$1" sh -c 'cd /tmp/again && cat [0-9]*.dat | wc -c; for d in /in/dump /tmp/again; do (cd $d && sha256sum [0-9]*.dat |
    cut -d " " -f 1 | sort | sha256sum; pg_restore -s -f - $d | sed -E "/^.(un)?restrict /d; /^-- Dumped/d" | sha256sum); done' |
    tail -n 4 | sort | uniq -c | awk '$1 != 2 {bad = 1} END {exit bad}'
}
postgres_physical() { # STORE ID:DIRECTORY DATABASE
  fetch "$1" "$2"
  log "$1"
  box "$1" "$POSTGRES" postgres /var/lib/postgresql
  chown -R "$(on "$1" id -u):$(on "$1" id -g)" "$in/$1" && chmod 700 "$in/$1/data"
  on "$1" pg_verifybackup -q -n /in/data
  sed -i '/^recovery_target/d' "$in/$1/data/postgresql.auto.conf"
  printf '%s\n' "restore_command = 'cp /in/log/%f %p'" "recovery_target_timeline = latest" \
    "recovery_target_action = promote" >> "$in/$1/data/postgresql.auto.conf"
  touch "$in/$1/data/recovery.signal" && chmod a+rw "$in/$1/data/recovery.signal"
  rm -f "$in/$1/data/postmaster.pid"
  on "$1" sh -c ': > /tmp/hba; echo "local all all trust" > /tmp/hba'
  on "$1" pg_ctl -D /in/data -w -s -t 600 -l /tmp/log -o "-c listen_addresses= -k /tmp -c hba_file=/tmp/hba" start > /dev/null
  until [ "$(on "$1" psql -XqAt -h /tmp -U postgres -c 'select pg_is_in_recovery()')" = f ]; do sleep 0.1; done
  on "$1" pg_amcheck -h /tmp -U postgres -j2 --heapallindexed --install-missing --all
  on "$1" pg_ctl -D /in/data -m fast -w -s stop
}
log() { # STORE: the newest snapshot of each batch, into one directory
  export RESTIC_REPOSITORY=$RESTIC_REPOSITORY/log
  mkdir -p "$in/$1/log"
  restic snapshots --tag "asset=$1,kind=log" --json |
    jq -r 'group_by(.tags[] | select(startswith("batch="))) | map(max_by(.time)) | sort_by(.time)[] | "\(.id):\(.paths[0])"' |
    while read -r batch; do restic restore --quiet "$batch" --target "$in/$1/log"; done
  cd "$in/$1/log" && for f in *.open; do [ ! -e "$f" ] || [ -e "${f%.open}" ] || mv "$f" "${f%.open}"; done
}

# --- MariaDB ---
maria() { on "$1" mariadb --no-defaults -S /tmp/s -u root "${@:2}"; }
maria_start() { # STORE DATADIR
  on "$1" sh -c "setsid mariadbd --no-defaults --datadir=$2 --socket=/tmp/s --skip-networking $3 </dev/null >/tmp/log 2>&1 &"
  until maria "$1" -e 'select 1' > /dev/null 2>&1; do sleep 0.1; done
}
maria_dump() { # STORE ID:DIRECTORY DATABASE
  fetch "$1" "$2" && same "$1"
  box "$1" "$MARIADB" mysql /var/lib/mysql
  on "$1" mariadb-install-db --no-defaults --datadir=/var/lib/mysql/data --auth-root-authentication-method=normal \
    --skip-test-db --skip-name-resolve > /dev/null
  maria_start "$1" /var/lib/mysql/data ""
  maria "$1" < "$in/$1/database.sql"
  maria "$1" --force < "$in/$1/users.sql" 2> /dev/null || true
  maria "$1" "$3" < "$in/$1/tables.sql"
  ls "$in/$1/rows/"*.sql | xargs -P 2 -I{} sh -c "docker exec -i $NAME-$1 mariadb --no-defaults -S /tmp/s -u root \
    --init-command='SET check_constraint_checks=0' $3 < '{}'"
  maria "$1" --comments --binary-mode "$3" < "$in/$1/code.sql"
  [ ! -e "$in/$1/views.sql" ] || maria "$1" "$3" < "$in/$1/views.sql"
  maria "$1" --force < "$in/$1/grants.sql" 2> /dev/null || true
  on "$1" mariadb-dump --no-defaults -S /tmp/s -u root --single-transaction --routines --events --triggers --hex-blob \
    --skip-dump-date --order-by-primary "$3" | sha256sum > /dev/null
  on "$1" mariadb-check --no-defaults -S /tmp/s -u root --extended "$3" > /dev/null
  on "$1" mariadb-admin --no-defaults -S /tmp/s -u root shutdown
}
maria_physical() { # STORE ID:DIRECTORY
  fetch "$1" "$2" && same "$1"
  log "$1"
  box "$1" "$MARIADB" mysql /var/lib/mysql
  chown -R "$(on "$1" id -u):$(on "$1" id -g)" "$in/$1"
  on "$1" mariadb-backup --no-defaults --prepare --target-dir=/in/data --use-memory=256M > /dev/null 2>&1
  read -r first start _ < <(cat "$in/$1"/data/*_binlog_info)
  maria_start "$1" /in/data --skip-grant-tables
  (cd "$in/$1/log" && ls | grep -v '\.open$\|\.json$' | sort -V | sed -n "/^$first\$/,\$p" | sed 's,^,/in/log/,' > "$in/$1/files")
  on "$1" bash -c "mariadb-binlog --verify-binlog-checksum --start-position=$start \$(cat /in/files) |
    mariadb --no-defaults -S /tmp/s -u root --comments --binary-mode"
  on "$1" mariadb-check --no-defaults -S /tmp/s -u root --extended --all-databases > /dev/null
  on "$1" mariadb-admin --no-defaults -S /tmp/s -u root shutdown
}

# --- the others ---
redis() { # STORE ID:DIRECTORY
  fetch "$1" "$2" && same "$1"
  box "$1" "$REDIS" redis /data
  on "$1" redis-check-rdb /in/dump.rdb > /dev/null
  on "$1" sh -c 'cp /in/dump.rdb /data/dump.rdb && redis-server --port 0 --unixsocket /tmp/s --dir /data --daemonize yes > /dev/null'
  until on "$1" redis-cli -s /tmp/s ping 2> /dev/null | grep -q PONG; do sleep 0.1; done
  on "$1" redis-cli -s /tmp/s shutdown save > /dev/null 2>&1 || true
}
sqlite() { # STORE ID:DIRECTORY
  fetch "$1" "$2" && same "$1"
  find "$in/$1" -name '*.sqlite3' -exec sqlite3 {} 'pragma integrity_check; pragma foreign_key_check' \; | grep -qx ok
}
tree() { # STORE ID STREAM: a file tree, with the digests that were taken of it
  restic restore --quiet "$2" --target "$in/$1"
  listing=$(find "$in/$1" -name ccdr-manifest.json -printf '%h')
  [ -z "${3:-}" ] || restic restore --quiet "$3" --target "$in/$1"
  (cd "$in/$1" && listed "$listing/files.jsonl")
}

listed() { # LISTING: each file of the tree, below this directory, has the SHA-256 that was taken of it
  jq -r 'select(.[1] == "f") | "\(.[9])  \(.[0] | ltrimstr("/"))"' "$1" | split -n r/2 --filter 'sha256sum --quiet -c -'
}

began=$(date +%s.%N)
for store in $STORES; do
  (
    set -e
    arguments=${store//-/_}
    read -r -a how <<< "${!arguments}"
    "${how[0]}" "$store" "${how[@]:1}" > "$WORK/$store.out" 2> "$WORK/$store.err" ||
      { echo "$store failed:" >&2 && tail -n 5 "$WORK/$store.err" >&2 && exit 1; }
    echo "$store $(echo "$(date +%s.%N) - $began" | bc)"
  ) &
  pids="${pids:-} $!"
done
for pid in $pids; do wait "$pid"; done
sync
docker ps -aq --filter "name=^$NAME-" | xargs -r docker rm -f -v > /dev/null
