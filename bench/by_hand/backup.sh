#!/bin/bash
# What `ccdr backup` stands for, with plain tools: the same dump, written to the same file system, then restic
# as it comes.
set -euo pipefail
: "${IMAGE:?}" "${SOCKETS:?}" "${DATABASE:?}" "${WORK:?}" "${RESTIC_REPOSITORY:?}" "${RESTIC_PASSWORD_FILE:?}" "${NAME:?}"

mkdir -p "$WORK/capture"
docker run --rm --name "$NAME-client" --network none --read-only --user "$(id -u):$(id -g)" --cap-drop ALL \
  --security-opt no-new-privileges --pids-limit 512 --memory 1280m --memory-swap 1280m --ulimit core=0 \
  --log-driver none --shm-size 256m --tmpfs /tmp:size=256m,mode=1777 \
  --mount "type=bind,src=$SOCKETS,dst=$SOCKETS,readonly" --mount "type=bind,src=$WORK/capture,dst=$WORK/capture" \
  "$IMAGE" pg_dump -w -h "$SOCKETS" -U postgres -d "$DATABASE" -Fd -j2 -Z0 --no-sync -f "$WORK/capture/dump"
restic backup --quiet "$WORK/capture"
rm -rf "$WORK/capture"
