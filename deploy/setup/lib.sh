# Shared by the set-up scripts: where the tree is, how they speak, how they time a step.
# shellcheck shell=bash

# shellcheck disable=SC2034  # used by the scripts that source this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Messages are parsed in places, and EPOCHREALTIME has the locale's decimal point.
export LC_ALL=C.UTF-8
# `su` without a dash gives root a PATH that lacks these.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

say() { printf 'setup: %s\n' "$*"; }

die() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }

# seconds SINCE: time since an earlier $EPOCHREALTIME, as 1.2
seconds() {
    local us=$((${EPOCHREALTIME/./} - ${1/./}))
    printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10))
}

# step WHAT COMMAND…: runs a command silently, says how long it took; shows its last words if it fails.
# Only commands, no functions: `set -e` would be off inside them.
step() {
    local what=$1 start=$EPOCHREALTIME log
    shift
    log=$(mktemp)
    say "$what"
    if "$@" >"$log" 2>&1 </dev/null; then
        say "$what: done in $(seconds "$start") s"
        rm -f "$log"
    else
        tail -n 30 "$log" | sed 's/^/  | /' >&2
        die "$what: failed after $(seconds "$start") s, see $log"
    fi
}

# Is a Docker daemon there that answers us? Prints its version.
docker_answers() {
    command -v docker >/dev/null && timeout 15 docker version --format '{{.Server.Version}}' 2>/dev/null
}
