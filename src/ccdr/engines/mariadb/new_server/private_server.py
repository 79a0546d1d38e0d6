"""The new server until it is opened: in its container, shut off from everybody, by an account of ours that is gone from
it at the end."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ccdr.engines.mariadb import server, variables
from ccdr.engines.mariadb.accounts import SANDBOX_USER
from ccdr.engines.mariadb.client import quote_name, read_answers
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.engines.mariadb.new_server import own
from ccdr.engines.servers.room import WithRoom
from ccdr.model.errors import BackupBad, CommandFailed, TestBroken
from ccdr.model.values import Manifest
from ccdr.ports.new_server import HOME
from ccdr.ports.place import Place

if TYPE_CHECKING:
    from ccdr.engines.mariadb.engine import MariaDB

DATA, SORTING = f"{HOME}/{own.DATA}", f"{HOME}/sorting"
_CONF, _INIT, PID = "/tmp/ccdr-server.cnf", "/tmp/ccdr-init.sql", "/tmp/ccdr-server.pid"  # noqa: S108 - in the sandbox
_CLIENT = shlex.join(server.LOGIN.asking())
# $1: is there no server yet? The settings come on standard input. Of a
# server that is born here the administrator gets our name, as in a sandbox; else our account is made before anybody may
# come in.
_START = f"""set -e
umask 027
mkdir -p {SORTING}
cat > {_CONF}
init= client=({_CLIENT})
if [ -n "$1" ]; then
  client=({shlex.join(server.BORN.asking())})
  mariadb-install-db --defaults-file={_CONF} --auth-root-authentication-method=normal --skip-test-db \\
    --skip-name-resolve > {server.LOG} 2>&1 || {{ code=$?; cat {server.LOG} >&2; exit $code; }}
else
  init=--init-file={_INIT}
  cat > {_INIT} <<'END'
CREATE OR REPLACE USER {quote_name(SANDBOX_USER)}@localhost;
GRANT ALL PRIVILEGES ON *.* TO {quote_name(SANDBOX_USER)}@localhost WITH GRANT OPTION;
END
fi
setsid mariadbd --defaults-file={_CONF} $init --pid-file={PID} < /dev/null > {server.LOG} 2>&1 &
server=$!
until echo 'SELECT 1' | "${{client[@]}}" > /dev/null 2>&1; do
  kill -0 $server
  sleep 0.05
done
[ -n "$1" ] || exit 0
"${{client[@]}}" <<'END'
SET SESSION sql_mode='';
{server.OURS_ALONE}END
"""
# It has ended well only where it says so: one that was killed would be mended as it starts, before anybody looks.
_STOP = f"""set -e
pid=$(cat {PID})
{_CLIENT} <<'END'
DROP USER IF EXISTS {quote_name(SANDBOX_USER)}@localhost;
SHUTDOWN;
END
while grep -q '^State:[[:space:]]*[^ZX[:space:]]' /proc/$pid/status 2> /dev/null; do sleep 0.05; done
grep -q 'Shutdown complete' {server.LOG}
rm -rf {SORTING}
"""
# What options it has, with the plugins that it loads.
_OPTIONS = ["mariadbd", "--no-defaults", "--verbose", "--help"]
# Which values it has, as `read_answers` reads them.
_VALUES = "/tmp/ccdr-values"  # noqa: S108
_ASK = (
    "SELECT JSON_ARRAY(LOWER(variable_name), variable_value) FROM information_schema.global_variables "
    f"INTO OUTFILE '{_VALUES}' FIELDS ESCAPED BY '';"
)
_TAKES = f"cat > {_CONF} && mariadbd --defaults-file={_CONF} --datadir=/tmp --verbose --help > /dev/null"
# Once by its own configuration, but for where it listens and what it would write beside its data: does it start?
_ONCE = f"""set -e
sed '/^log_bin=/d; /^log_error=/d; /^plugin_dir=/d' {HOME}/{own.CONF} > {_CONF}
mkdir -p {SORTING}
: > {server.LOG}
rm -f {_VALUES}
echo "{_ASK}" > {_INIT}
mariadbd --defaults-file={_CONF} --datadir={DATA} --tmpdir={SORTING} --socket={server.SOCKET} --pid-file={PID} \\
  --skip-networking --skip-log-bin --event-scheduler=OFF --innodb-buffer-pool-size=256M --key-buffer-size=16M \\
  --init-file={_INIT} --secure-file-priv= < /dev/null > {server.LOG} 2>&1 &
server=$!
until grep -q 'ready for connections' {server.LOG}; do
  kill -0 $server
  sleep 0.05
done
kill $server
wait $server
rm -rf {SORTING}
cat {_VALUES}
"""
_NO_ROOM = re.compile(r"No space left|Disk full|errno: 28|OS error 28|error number 28", re.IGNORECASE)


def copied(manifest: Manifest) -> bool:
    """Is it made of a whole server's files? Else of a dump."""
    return manifest.method == "physical"


def with_room(box: Place) -> WithRoom:
    return WithRoom(box, HOME, PID)


def take_settings(box: Place, text: str) -> None:
    """CommandFailed where the server does not know all that its configuration, `text`, sets."""
    box.run(["sh", "-c", _TAKES], stdin=text, what="trying its configuration")


def start(box: Place, asset: MariaDB, manifest: Manifest, kept: Mapping[str, str], *, empty: bool = False) -> None:
    """With durable settings, and shut off from everybody: no network, no events, no log of its own. `kept` is how a
    copy's files are laid out; `empty`: there is none yet, and one is made. CommandFailed where it does not start."""
    inventory = Inventory(manifest.contents)
    options = server.settings(inventory, asset.memory_beside, throwaway=False)
    options |= {**kept, "datadir": DATA, "tmpdir": SORTING}
    # A commit is handed to the system, which keeps it whatever ends the server; it does not wait for the disk.
    options["innodb_flush_log_at_trx_commit"] = "2"
    # A session of the source may have said so, and its log does not tell. Where it had not, nothing was altered.
    options |= {"loose-system_versioning_alter_history": "KEEP", **asset.server_settings}
    if not empty:
        del options["innodb_log_file_size"]  # there is one
    conf = server.configuration(options, inventory.libraries)
    argv = ["bash", "-c", _START, "start", "empty" if empty else ""]
    box.run(argv, stdin=conf, what="mariadb-install-db and mariadbd" if empty else "starting the restored server")
    if copied(manifest):
        box.run(server.LOGIN.client(), stdin=server.zone_sql(inventory.zone), what="its time zone")


def stop(box: Place) -> None:
    try:
        box.run(["bash", "-c", _STOP], what="ending the new server")
    except CommandFailed as error:
        words = server.last_words(box)
        raise TestBroken(
            f"the new server did not end cleanly: {error}", hint="has the target's disk room?", words=words
        ) from None


def known_options(box: Place, plugins: Iterable[str]) -> set[str]:
    argv = [*_OPTIONS, *(f"--plugin-load-add={name}" for name in plugins)]
    return variables.options(box.run(argv, what="asking for its options").stdout)


def start_once(box: Place) -> dict[str, str]:
    """By its own configuration, and ended again; its global variables. TestBroken where it does not start."""
    try:
        done = box.run(["bash", "-c", _ONCE], what="starting it once by its own configuration")
        return dict(read_answers(done.stdout))
    except CommandFailed as error:
        words = server.last_words(box)
        raise TestBroken(
            f"the new server does not start by its own configuration: {error}",
            hint="mend `settings:` of the target",
            words=words,
        ) from None


def broken(box: Place, error: CommandFailed) -> TestBroken:
    """It does not start, and that is not the backup's fault."""
    words = server.last_words(box)
    return TestBroken(
        f"the new server does not start: {error}{f'; {words.answer}' if words.answer else ''}",
        hint="does the image hold the plugins that the source uses, and has the target's disk room?",
        words=words,
    )


def bad(box: Place, error: CommandFailed) -> TestBroken | BackupBad:
    """It does not start: the backup's fault, unless the image or the disk is to blame."""
    words = server.last_words(box)
    if error.stalled or words.search(server.LACKS) or words.search(_NO_ROOM):
        return broken(box, error)
    why = f"{error}; {words.answer}" if words.answer else str(error)
    return BackupBad(f"the restored server does not start: {why}", hint="restore an older snapshot", words=words)
