#!/bin/bash
# What `ccdr test` stands for, with plain tools: the same fetch, the same sandbox, the same load, the same checks.
# SUMS holds the sorted SHA-256 of the dump's table files and ROWS the number of their lines, as taken at the backup.
set -euo pipefail
: "${IMAGE:?}" "${DATABASE:?}" "${WORK:?}" "${RESTIC_REPOSITORY:?}" "${RESTIC_PASSWORD_FILE:?}" "${NAME:?}" "${CAPTURE:?}"
: "${SUMS:?}" "${ROWS:?}" "${DATA_BYTES:?}" "${CALLS:?}"

box=$NAME-box
trap 'docker rm -f -v "$box" > /dev/null' EXIT
mkdir -p "$WORK/fetched" "$WORK/out"
chmod 777 "$WORK/out"
memory=$((2304 * 1024 * 1024 + DATA_BYTES))

restic restore --quiet latest --target "$WORK/fetched"
chmod -R a+rX "$WORK/fetched"
docker run -d --name "$box" --network none --read-only --user postgres --cap-drop ALL \
  --security-opt no-new-privileges --pids-limit 512 --memory "$memory" --memory-swap "$memory" --ulimit core=0 \
  --log-driver none --shm-size 256m --tmpfs /tmp:size=256m,mode=1777 --tmpfs /ccdr/run:size=16m,mode=1777 \
  --tmpfs "/var/lib/postgresql:size=$DATA_BYTES,mode=1777" \
  --mount "type=bind,src=$WORK/fetched,dst=/ccdr/in,readonly" --mount "type=bind,src=$WORK/out,dst=/ccdr/out" \
  --env PGHOST=/ccdr/run --env PGUSER=postgres --env LC_ALL=C.UTF-8 --env HOME=/tmp \
  "$IMAGE" sleep infinity > /dev/null

in_box() { docker exec -i "$box" "$@"; }
ask() { in_box psql -X -w -q -A -t -v ON_ERROR_STOP=1 -d "$DATABASE" -c "$1"; }
dump=/ccdr/in$CAPTURE/dump

in_box initdb -D /var/lib/postgresql/hand -U postgres -A trust -N -E UTF8 --locale=C --no-instructions > /dev/null
in_box sh -c 'cat >> /var/lib/postgresql/hand/postgresql.conf' < "$SETTINGS"
in_box pg_ctl -D /var/lib/postgresql/hand -w -t 120 -l /tmp/server.log -s start > /dev/null
grep -v '^CREATE ROLE postgres;' "$ROLES" | in_box psql -X -w -q -A -t -v ON_ERROR_STOP=1 -d template1 -f - > /dev/null
in_box pg_restore -w -C -j2 --exit-on-error --no-tablespaces -d template1 "$dump"

# identical
in_box pg_dump -w -Fd -j2 -Z0 --no-sync -f /ccdr/out/again -d "$DATABASE"
in_box chmod -R a+rwX /ccdr/out/again
cd "$WORK/out/again"
find . -name '[0-9]*.dat' -printf '%s %p\0' | sort -zrn | sed -z 's/^[0-9]* //' > "$WORK/names"
xargs -0 -n 2 -P 2 sha256sum < "$WORK/names" | cut -d ' ' -f 1 | sort | cmp - "$SUMS"
xargs -0 -n 2 -P 2 wc -l --total=never < "$WORK/names" | awk '{n += $1} END {print n}' | cmp - "$ROWS"
for side in "$dump" /ccdr/out/again; do
  in_box pg_restore -l "$side" > "$WORK/out/toc.${side##*/}"
  in_box pg_restore -s -C --no-tablespaces -f - "$side" |
    sed -E '/^\\(un)?restrict /d; /^-- Dumped (from|by) /d' > "$WORK/out/schema.${side##*/}"
done
cmp "$WORK/out/schema.dump" "$WORK/out/schema.again"
# integrity
in_box pg_amcheck -w -j2 --heapallindexed --install-missing "$DATABASE"
ask 'drop extension if exists amcheck'
# rows, freshness, sql
[ "$(ask 'select count(*) from call')" -ge "$CALLS" ]
[ "$(ask 'select max(started_at) > now() - interval $$30 days$$ from call')" = t ]
[ "$(ask 'select count(*) from call c left join customer u on u.id = c.customer_id where u.id is null')" = 0 ]

docker rm -f -v "$box" > /dev/null
rm -rf "$WORK/fetched" "$WORK/out"
