"""Each asset by hand, for whoever has restic and a server's own tools, and nothing else. docs/how-to/recover.md says
more."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from ccdr.engines import AnyEngine
from ccdr.engines.mariadb.server import CLIENT, PREPARED, STARTED
from ccdr.plans.model import Plan

# In a line that is typed: what whoever types it must fill in stands in capital letters.
FETCHED = "/restore"
UNBROKEN = 70  # characters of a line and its comment that every printer has room for


@dataclass(frozen=True)
class Part:
    """A sentence, and the lines that are typed then."""

    says: str
    lines: tuple[str, ...] = ()


def typed(line: str, why: str) -> str:
    """A line and a comment, which never breaks: what stood behind the break would be typed as a command."""
    return f"{line}      # {why}" if len(line) + len(why) <= UNBROKEN else f"# {why}\n{line}"


def _found(name: str) -> str:
    """From there on the lines name the directory that holds the server's by $D, wherever they are typed."""
    return f"D=$(dirname $(find {FETCHED}/{name} -name ccdr-manifest.json))"


def _passable(directory: str) -> str:
    """restic gives the directories above what it restores to root alone."""
    return f'p={directory}; while [ "${{p#/}}" ]; do chmod a+x "$p"; p=$(dirname "$p"); done'


# Of the old server's configuration only what its log cannot be applied without: the rest names its places, and what it
# did to others.
_NEEDED = "max_(connections|worker_processes|wal_senders|prepared_transactions|locks_per_transaction)"
ASIDE_POSTGRES = (
    "mkdir -p $D/captured",
    "for f in postgresql.conf postgresql.auto.conf standby.signal recovery.signal; do",
    "  if [ -e $D/data/$f ]; then mv $D/data/$f $D/captured/; fi",
    "done",
    "for f in $(grep -lE '^[^#]*(include|@)' $D/data/pg_hba.conf $D/data/pg_ident.conf); do mv $f $D/captured/; done",
    f"cat $D/captured/postgresql*.conf | sed -nE '/^{_NEEDED}[ =]/p' > $D/data/postgresql.conf",
    "touch $D/data/postgresql.auto.conf",
)
START_POSTGRES = (
    "touch $D/data/postgresql.conf $D/data/pg_ident.conf",
    "[ -e $D/data/pg_hba.conf ] || echo 'local all all peer' > $D/data/pg_hba.conf",
    "chown -R postgres:postgres $D && chmod 700 $D/data",
    _passable("$D"),
    'O="-c data_directory=$D/data -c hba_file=$D/data/pg_hba.conf -c ident_file=$D/data/pg_ident.conf"',
    'O="$O -c max_logical_replication_workers=0"',
    """su postgres -c "$(command -v pg_ctl) -D $D/data -l /tmp/server.log \\""",
    """  -o '$O -c unix_socket_directories=/tmp -c logging_collector=off' start\"""",
)
START_MARIADB = (
    "chown -R mysql:mysql $D/data",
    _passable("$D"),
    f"{STARTED[0].format('$D/data')} \\",
    f"  {STARTED[1]}",
    f"mariadb-admin {CLIENT} --wait=30 ping",
)


def opening(plan: Plan, password_file: str, env_file: str | None) -> Iterator[str]:
    """The repository, opened as the plan does."""
    yield f"export RESTIC_REPOSITORY={shlex.quote(plan.repository.location)}"
    yield f"export RESTIC_PASSWORD_FILE={password_file}"
    if env_file is not None:
        yield f"set -a; . {env_file}; set +a"


def parts(plan: Plan, name: str, asset: AnyEngine) -> Iterator[Part]:
    tags = f"--tag plan={plan.plan},asset={name},kind=backup"
    yield Part("Which snapshots are there? The newest is the last one.", (f"restic snapshots --compact {tags}",))
    yield Part(
        "Fetch the newest into an empty directory. If restic exits with anything but 0, do not use it: take an older.",
        (f"restic restore {tags} latest --target {FETCHED}/{name}", "echo exit $?"),
    )
    yield Part("Where is it?", (f"find {FETCHED}/{name} -name ccdr-manifest.json",))
    method = getattr(asset, "method", None)
    match asset.engine_name, method:
        case "files", _:
            yield Part(
                "The trees stand below that directory, each at its own path. Where the snapshot has a tag `stream=ID`, "
                "fetch that one too, into the same directory.",
                (f"restic restore STREAM --target {FETCHED}/{name}",),
            )
        case "sqlite", _:
            yield Part(
                "The database file is beside the manifest. Put it where its application wants it while that is "
                "stopped; let no old -wal, -shm or -journal stand beside it."
            )
        case "redis", _:
            yield from _redis(name)
        case "postgres", "physical":
            yield from _postgres_physical(plan, name, ships=asset.shipping is not None)
        case "postgres", _:
            yield from _postgres(name, asset, streamed=method == "stream")
        case "mariadb", "physical":
            yield from _mariadb_physical(plan, name, ships=asset.shipping is not None)
        case "mariadb", _:
            yield from _mariadb(name, asset)


def _database(asset: AnyEngine) -> str:
    return shlex.quote(str(getattr(getattr(asset, "connection", None), "database", "DATABASE")))


def _postgres(name: str, asset: AnyEngine, *, streamed: bool) -> Iterator[Part]:
    if streamed:
        yield Part(
            "The dump itself is in the snapshot that the first one's tag `stream=ID` names. Fetch it beside the "
            'manifest; its SHA-256 must be the one that the manifest has for "dump".',
            (f"restic restore STREAM --target {FETCHED}/{name}/…/ccdr-capture", "sha256sum dump"),
        )
    yield Part(
        "Load it into an EMPTY server of the same major version (installed anew, Debian has one), never one that may "
        "still hold data. As root: its superuser gets the files, and loads them. “Already exists” is harmless.",
        (
            _found(name),
            "chown -R postgres $D",
            _passable("$D"),
            "cd $D && su postgres <<'END'",
            "psql -X -d postgres -f roles.sql",
            "pg_restore -C -j2 --exit-on-error --section=pre-data --section=data -d postgres dump",
            f"pg_restore -j2 --exit-on-error --section=post-data -d {_database(asset)} dump",
            f"psql -X -d {_database(asset)} -c analyze",
            "END",
        ),
    )
    yield Part(
        "If a role that is no superuser took the backup, roles have no passwords: set them (\\password ROLE, in psql), "
        "or no application can log in."
    )


def _postgres_physical(plan: Plan, name: str, *, ships: bool) -> Iterator[Part]:
    """In the order in which it is typed: a server that has been started takes no log any more, and one that is started
    on this host none at all, which might make a tablespace in the source's own."""
    whole = f"{FETCHED}/{name}-whole"
    yield Part(
        "It is the server's data directory, data/. Verify it; where that says something, take an older snapshot.",
        (
            _found(name),
            "PATH=$PATH:/usr/lib/postgresql/$(cat $D/data/PG_VERSION)/bin",
            "pg_verifybackup -q $D/data",
        ),
    )
    yield Part(
        'Does ccdr-manifest.json end in "upon":[…]? Then it is an increment on the snapshots FULL, NEXT … that stand '
        "there, the full one first. Fetch each into a directory of its own and put them together in that order, with "
        "the tools of the same major version. Without it go on with this data/.",
        (
            f"restic restore FULL --target {FETCHED}/{name}-0",
            f"restic restore NEXT --target {FETCHED}/{name}-1",
            "set --; for t in $(ls $D/tablespaces 2> /dev/null); do",
            "  ln -sfn $D/tablespaces/$t $D/data/pg_tblspc/$t",
            f"""  set -- "$@" -T $D/tablespaces/$t={whole}/tablespaces/$t; done""",
            f"""pg_combinebackup -o {whole}/data "$@" DATA-OF-FULL DATA-OF-NEXT $D/data""",
            f"D={whole}; pg_verifybackup -q $D/data",
        ),
    )
    yield Part(
        "Nothing of the old server's configuration decides from here on: it names its places, and it would archive, "
        "follow another server, or run jobs. It is in captured/ then, and what the log needs of it in data/. Take from "
        "there what you want, line by line (shared_preload_libraries, say), once all is right.",
        ASIDE_POSTGRES,
    )
    if ships:
        yield from _log(plan, name)
        yield from (_log_for_postgres(name), _reached_by_postgres(name), _LED_BACK)
    yield Part(
        "Give it to the server's user, and start a server of the same major version on it. It is reached through a "
        "socket in /tmp. Its subscriptions stand still.",
        (*START_POSTGRES,),
    )


def _mariadb_physical(plan: Plan, name: str, *, ships: bool) -> Iterator[Part]:
    """In the order in which it is typed: as with PostgreSQL no server of this host takes a log."""
    yield Part(
        "It is what mariadb-backup has copied, data/. Compare every file with the SHA-256 that was taken of it (needs "
        "jq); where that names one, take an older snapshot.",
        (
            _found(name),
            "cd $D &&",
            """jq -r '.files | to_entries[] | "\\(.value.sha256)  \\(.key)"' ccdr-manifest.json |""",
            "  sha256sum --quiet -c",
        ),
    )
    yield Part(
        "Make it ready with a mariadb-backup of the same series. It must end in `completed OK!`. Tables that lay "
        "elsewhere (DATA DIRECTORY) stay in data/.",
        tuple(line.format("$D/data") for line in PREPARED),
    )
    if ships:
        yield from _log(plan, name)
        yield from _log_of_mariadb(name)
    yield Part(
        "Start a server of the same series on it, so that nobody reaches it but by its own socket: it reads no my.cnf, "
        "which would name the old server's places, runs no events and follows nobody. Does it need a plugin or a key? "
        "Add --plugin-load-add=… Once all is right: mariadb-admin with the same options and shutdown, and start it by "
        "a configuration of its own.",
        START_MARIADB,
    )
    if ships:
        yield Part(
            "Each time it is started its MEMORY tables are empty. Of a server to which the log was applied this fills "
            "them:",
            (f"mariadb {CLIENT} --comments --binary-mode < $D/memory.sql",),
        )


def _log(plan: Plan, name: str) -> Iterator[Part]:
    yield Part(
        "The log that was shipped since then is in a repository of its own, with the same password. Fetch all that "
        "leads on from this base, and nothing of another server or of a log that was begun anew, into one empty "
        "directory (needs jq). The names that `ls` shows must count up without a gap from the base on.",
        (
            f"LOG={shlex.quote(f'{plan.repository.location}/log')}",
            f"BASE=$(find {FETCHED}/{name} -name ccdr-manifest.json)",
            f'restic -r "$LOG" snapshots --tag plan={plan.plan},asset={name},kind=log --json > {FETCHED}/{name}.json',
            *_CHOSEN,
            f"""' {FETCHED}/{name}.json > {FETCHED}/{name}-batches""",
            f"[ -s {FETCHED}/{name}-batches ] || echo BAD: no log of this base",
            "while read -r b; do",
            f'  restic -r "$LOG" restore "$b" --target {FETCHED}/{name}-log || echo BAD',
            f"done < {FETCHED}/{name}-batches",
            f"cd {FETCHED}/{name}-log &&",
            'for f in *.open; do [ ! -e "$f" ] || [ -e "${f%.open}" ] || mv "$f" "${f%.open}"; done',
        ),
    )


def _reach(name: str) -> tuple[str, ...]:
    """How far the log goes that was fetched."""
    return (
        f"LAST=$(tail -n 1 {FETCHED}/{name}-batches | cut -d: -f1)",
        """restic -r "$LOG" snapshots "$LAST" --json | jq -r '.[0].tags[] | select(test("^po"))'""",
    )


# Of the batches of the base's own server, and of its own history (`anew`): the same names come again in another. As
# docs/how-to/recover.md has it.
_CHOSEN = (
    """jq -r --slurpfile base "$BASE" '""",
    'def tag($k): [.tags[] | select(startswith($k + "="))][0] // "" | ltrimstr($k + "=");',
    "[$base[0].contents | .. | objects | .server_id // .system_identifier // empty][0] as $server",
    '| map(. + {server: tag("server"), anew: tag("anew"), batch: tag("batch")})',
    '| map(select(.server == "" or .server == ($server | tostring)))',
    "| map(select(.anew <= $base[0].consistent_point)) | (map(.anew) | max) as $history",
    "| map(select(.anew == $history)) | group_by([.server, .batch]) | map(max_by(.time))",
    '| sort_by(.time)[] | "\\(.id):\\(.paths[0])"',
)


# Of a server that is started as it was fetched, without a recovery of before this one.
_UNARMED = "sed -i '/^recovery_target/d; /^restore_command/d' $D/data/postgresql.auto.conf"


def _log_for_postgres(name: str) -> Part:
    # With more than 125 the server ends; with 1 it takes the log to be at its end, and opens.
    command = "ls $L > /dev/null || exit 200; [ -e $L/%f ] || exit 1; cp $L/%f %p || exit 200"
    return Part(
        "Apply it in the same shell, before anybody has started a server on data/, and only in a container (without "
        "Docker: on a host that has it): it may make tablespaces at paths of the source's, and in there each of these "
        "leads beside data/. I is an image of the same major version. To go back to a moment, add the lines "
        "recovery_target_time = 'TIME' and recovery_target_action = 'pause'; once it is started, look at it, and end "
        "the recovery with select pg_wal_replay_resume().",
        (
            "I=postgres:$(cat $D/data/PG_VERSION)",
            f"L={FETCHED}/{name}-log T={FETCHED}/{name}-tablespaces",
            _UNARMED,
            f"""echo "restore_command = '{command}'" >> $D/data/postgresql.auto.conf""",
            "echo \"recovery_target_timeline = 'latest'\" >> $D/data/postgresql.auto.conf",
            "touch $D/data/recovery.signal",
            *START_POSTGRES[:2],
            *_TABLESPACES,
            "docker run --rm -v $D:$D -v $L:$L --entrypoint chown $I -R postgres $D $L",
            "docker run -d --name applied --network none --user postgres --stop-signal SIGINT \\",
            """  -v $D:$D -v $L:$L:ro "$@" --entrypoint postgres $I -D $D/data \\""",
            "  -c data_directory=$D/data -c hba_file=$D/data/pg_hba.conf \\",
            "  -c ident_file=$D/data/pg_ident.conf -c unix_socket_directories=/tmp -c port=5432 \\",
            "  -c logging_collector=off",
        ),
    )


# Number and path of each tablespace that the log makes, the last one of each path: and what has it lie beside data/.
_TABLESPACES = (
    "docker run --rm -i --network none -v $L:$L:ro -w $L --entrypoint bash $I > $T <<'END'",
    "for t in $(ls | grep -oE '^[0-9A-F]{8}' | sort -u); do",
    """  pg_waldump -r Tablespace $(ls | grep -E "^$t[0-9A-F]{16}$" | sed -n '1p;$p')""",
    """done | sed -n 's/.*desc: CREATE \\([0-9]*\\) "\\(.*\\)"$/\\1 \\2/p' | tac | sort -u -k 2""",
    "END",
    "set --; while read -r o p; do",
    """  mkdir -p $D/tablespaces/$o; set -- "$@" -v "$D/tablespaces/$o:$p"; done < $T""",
)


def _reached_by_postgres(name: str) -> Part:
    return Part(
        "How far did it come? The first lines say how far the log goes (`position=`, `point=`), the last how much of "
        "it was applied: as far, where you went to its end. Less? Then do not use it. Where `docker logs applied` "
        "says of a setting (max_locks_per_transaction, say) “is a lower setting than on the primary server, where "
        "its value was N”, it only waits: `docker rm -f applied`, and start it once more as above, with "
        "-c max_locks_per_transaction=N at the end. Else fetch the base anew.",
        (
            *_reach(name),
            "ASK='select pg_last_wal_replay_lsn(), pg_last_xact_replay_timestamp()'",
            """docker exec applied psql -X -h /tmp -d postgres -c "$ASK\"""",
        ),
    )


_LED_BACK = Part(
    "Once it takes writes (select pg_is_in_recovery() is f): end it, and have its tablespaces' links lead to where "
    "they stand. What is started on data/ then knows nothing of the log, nor of the source's paths.",
    (
        "docker stop -t 600 applied && docker rm applied",
        "while read -r o p; do for l in $D/data/pg_tblspc/*; do",
        """  [ "$(readlink $l)" != "$p" ] || ln -sfn $D/tablespaces/$o $l; done; done < $T""",
        _UNARMED,
    ),
)


def _log_of_mariadb(name: str) -> Iterator[Part]:
    yield Part(
        "Apply it in the same shell, before anybody has started a server on data/, and only in a container (without "
        "Docker: on a host that has it), which sees nothing of this host but these files. I is an image of the same "
        "series. In the last line of apply, with --stop-datetime=TIME (UTC), only what was written before is applied. "
        "Rows of MEMORY tables are loaded where the log comes to them, and go again when the server ends: those that "
        "it then had are in memory.sql. Changes before that, and of tables whose rows nobody could take, are left out, "
        "and counted.",
        (
            "I=mariadb:$(jq -r .contents.version $D/ccdr-manifest.json | cut -d. -f1,2)",
            f"L={FETCHED}/{name}-log",
            "docker run --rm -i --network none --user root -v $D:$D -v $L:$L:ro \\",
            "  -e TZ=$(readlink -f /etc/localtime | sed 's,.*/zoneinfo/,,') \\",
            "  --entrypoint bash $I -s $D $L <<'END'",
            "D=$1 L=$2",
            *START_MARIADB,
            "read -r first start rest < $D/data/mariadb_backup_binlog_info",
            "cd $L",
            """ls | grep -v '[.]open$' | grep -v '[.]json$' | sort -V | sed -n "/^$first$/,\\$p" > /tmp/files""",
            """Q="select concat(hex(table_schema), ' ', hex(table_name)) from information_schema.tables\"""",
            """Q="$Q where engine = 'MEMORY' and table_schema not like '%\\_schema'\"""",
            f'mariadb {CLIENT} -BNe "$Q" > /tmp/memory',
            "apply() {",
            "  : > /tmp/left-out",
            '  TZ=UTC mariadb-binlog --verify-binlog-checksum "$@" > /tmp/c.sql || return',
            "  LC_ALL=C awk -v listed=/tmp/memory -v counted=/tmp/left-out -f $D/memory/log.awk \\",
            "    /tmp/c.sql > /tmp/a.sql &&",
            f"    mariadb {CLIENT} --comments --binary-mode < /tmp/a.sql > /tmp/said && cat /tmp/left-out",
            "}",
            "P=$(head -n 1 $D/memory/taken)",
            'if grep -qx "${P% *}" /tmp/files; then',
            '  apply --start-position="$start" --stop-position="${P#* }" $(sed "/^${P% *}$/q" /tmp/files) &&',
            f"    mariadb {CLIENT} --comments --binary-mode < $D/memory/rows.sql || echo BAD",
            "  sed 1d $D/memory/taken | grep -vxFf - /tmp/memory > /tmp/without",
            """  mv /tmp/without /tmp/memory; sed -n -i "/^${P% *}$/,\\$p" /tmp/files; start=${P#* }""",
            "fi",
            'apply --start-position="$start" $(cat /tmp/files) || echo BAD',
            "tail -n 1 /tmp/files; grep -a '^#.* end_log_pos ' /tmp/c.sql | tail -n 1",
            """Q="select table_schema, table_name from information_schema.tables where engine = 'MEMORY'\"""",
            """Q="$Q and table_schema not like '%\\_schema'\"""",
            f"""mariadb {CLIENT} -rBNe "$Q" | while IFS=$'\\t' read -r d t; do""",
            '  echo "use \\`$d\\`;"',
            f"""  mariadb-dump {CLIENT} --hex-blob --dump-history "$d" "$t" |""",
            """    sed "1,20s/='NO_AUTO_VALUE_ON_ZERO'/='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'/\"""",
            "done > $D/memory.sql",
            f"mariadb-admin {CLIENT} shutdown && wait",
            "END",
        ),
    )
    yield Part(
        "Did it say BAD, or did anything end with an error? Fetch the base anew. Else, how far did it come? These "
        "lines say how far the log goes (`position=FILE:PLACE`, `point=`), and the last two of before the file and the "
        "place (`end_log_pos`) of what was applied last: as far or further, where you went to its end. Is it less? "
        "Then do not use it.",
        _reach(name),
    )


# Tables that lay elsewhere at the source (DATA DIRECTORY) lie with the others.
_NO_DIRECTORIES = "sed \"1,20s/='NO_AUTO_VALUE_ON_ZERO'/='NO_AUTO_VALUE_ON_ZERO,NO_DIR_IN_CREATE'/\""


def _mariadb(name: str, asset: AnyEngine) -> Iterator[Part]:
    of = _database(asset)
    yield Part(
        "Load it into a server of the same series or a newer one, which has no database of that name, as an "
        "administrator:",
        (
            _found(name),
            "cd $D",
            "mariadb -e 'SET GLOBAL event_scheduler = OFF'",
            "mariadb < database.sql",
            typed("mariadb --force < users.sql", '"failed" is harmless'),
            f"{_NO_DIRECTORIES} tables.sql | mariadb {of}",
            "for f in rows/*.sql; do",
            f"""  mariadb --init-command='SET check_constraint_checks=0' {of} < "$f" || break""",
            "done",
            f"mariadb --comments --binary-mode {of} < code.sql",
            f"if [ -e views.sql ]; then mariadb {of} < views.sql; fi",
            "mariadb --force < grants.sql",
        ),
    )


USERS_IN_CONFIGURATION = "sed -i '/^user /d' /etc/redis/redis.conf && cat acl.list >> /etc/redis/redis.conf"


def _redis(name: str) -> Iterator[Part]:
    yield Part(
        "A server reads dump.rdb only when it starts, and with `appendonly yes` not at all: it starts EMPTY. Stop "
        "Sentinel first. As root (for Valkey read valkey); `dir` must be /var/lib/redis, and what it includes must not "
        "say otherwise:",
        (
            _found(name),
            "cd $D",
            "systemctl stop redis-server",
            "mv /var/lib/redis /var/lib/redis.was",
            "install -d -o redis -g redis -m 750 /var/lib/redis",
            "install -o redis -g redis -m 640 dump.rdb /var/lib/redis/dump.rdb",
            "sed -i.was 's/^appendonly .*/appendonly no/; s/^replicaof /# &/' /etc/redis/redis.conf",
            "sed -nE '/^(dir|include) /p' /etc/redis/redis.conf",
            "systemctl start redis-server",
            "redis-cli INFO keyspace",
            """grep -o '"keys":[0-9][0-9]*' ccdr-manifest.json""",
        ),
    )
    yield Part(
        "The last two must agree, but for what has expired since. Did it have `appendonly yes` (redis.conf.was)? "
        "Switch that on while the server runs. It writes all it holds; you may stop it again once the second line says "
        "0.",
        (
            "redis-cli CONFIG SET appendonly yes",
            "redis-cli INFO persistence | grep aof_rewrite_in_progress",
            "redis-cli CONFIG REWRITE",
        ),
    )
    yield Part(
        "Users are in acl.list (if the backup's user might read them), and not in the server yet: it lets anybody in, "
        "and refuses applications that have one. ACLFILE is what the first line shows; then type the second. Does it "
        "show nothing? Then type the third instead: a user may stand in redis.conf only once, and CONFIG REWRITE has "
        "put `default` there.",
        (
            "grep '^aclfile' /etc/redis/redis.conf",
            "install -o redis -g redis -m 640 acl.list ACLFILE && redis-cli ACL LOAD",
            f"{USERS_IN_CONFIGURATION} && systemctl restart redis-server",
        ),
    )
