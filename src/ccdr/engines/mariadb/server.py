"""The sandbox's own server: where it lies, how it is set up and reached, and what it does not do by itself until
somebody says so.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

from ccdr.engines.mariadb.accounts import SANDBOX_USER
from ccdr.engines.mariadb.client import Login, quote_name, quote_text
from ccdr.engines.mariadb.connection import major_of
from ccdr.engines.mariadb.inventory import SETTINGS, Inventory
from ccdr.engines.servers.new_server import Silenced
from ccdr.engines.servers.sandbox import image_that_has_it, require_major
from ccdr.model.answers import FreeText
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.model.values import Manifest
from ccdr.ports.place import Place

# What a restored MariaDB server does not do by itself until somebody says so: run events, follow another server, join
# a cluster, open tables that lie elsewhere.

# By these settings it does not, whatever the captured server had, in a sandbox as for good. A table's DATA DIRECTORY is
# ignored without symbolic links: all that is made lies below the server's own directory.
SILENCED: Mapping[str, str] = {
    "event_scheduler": "OFF",
    "skip_slave_start": "1",
    "symbolic_links": "0",
}
# Engines that keep what they hold in the server's own directory, by their plugins. What others reach (another server's
# tables, a search daemon, a bucket) lies elsewhere, and is not opened. A sandbox, which reaches nobody, may have them:
# their tables are compared.
_LOCAL = frozenset(("archive", "blackhole", "innodb", "mroonga", "oqgraph", "rocksdb", "sequence", "tokudb"))
_ELSEWHERE = ("federated", "spider", "connect", "s3", "sphinx")  # of whichever server


def for_good(plugins: Mapping[str, str]) -> dict[str, str]:
    """By these settings a server stands still that had these plugins, with the library of each, at the source.
    `plugin-`: `connect` by itself would be read as the beginning of `connect_timeout`."""
    shut = (*_ELSEWHERE, *_reaching(plugins))
    return {**SILENCED, **{f"loose-plugin-{plugin}": "OFF" for plugin in shut}}


def _reaching(plugins: Mapping[str, str]) -> list[str]:
    """Engines of tables that lie elsewhere."""
    return sorted({name.lower() for name, library in plugins.items() if library.startswith("ha_")} - _LOCAL)


# A server that a person starts on a copy reads no configuration but this, and how the copy is laid out ({0}: the data
# directory); its socket is no other server's, and so is that of the client which is given it.
SOCKET = "/tmp/restored.sock"  # noqa: S108
CLIENT = f"--no-defaults --socket={SOCKET}"
_LAID_OUT = "innodb_data_file_path|innodb_page_size|innodb_undo_tablespaces"
PREPARED = (
    "find {0} -name '*.isl' -delete",
    "mariadb-backup --no-defaults $(sed -n 's/^innodb_page_size=[0-9]*$/--&/p' {0}/backup-my.cnf) --prepare "
    "--target-dir={0}",
)
STARTED = (
    f"mariadbd {CLIENT} --user=mysql --datadir={{0}} --skip-networking "
    f"$(sed -nE 's/^({_LAID_OUT})=/--&/p' {{0}}/backup-my.cnf 2> /dev/null)",
    f"{' '.join(f'--{name}={value}' for name, value in for_good({}).items())} &",
)
OWN_CONF = "my.cnf"  # beside a copy's files, or a new server's
# Never taken over, wherever they stood.
NOT_TAKEN = frozenset(("wsrep_on", "wsrep_cluster_address", "wsrep_provider", "init_file", "init_slave"))


def silenced(
    settings: Mapping[str, str], plugins: Mapping[str, str], wanted: Mapping[str, str], conf: str, client: str
) -> Iterator[Silenced]:
    """What of the captured server's stands still, but for what is `wanted`; `conf` is the new configuration's path,
    `client` one of the new server."""
    if settings.get("event_scheduler") == "ON" and "event_scheduler" not in wanted:
        yield Silenced(
            "its events do not run (event_scheduler)",
            f"sed -i 's/^event_scheduler=.*/event_scheduler=ON/' {conf} && {client} -e 'SET GLOBAL event_scheduler=ON'",
        )
    for plugin in _reaching(plugins):
        if plugin not in wanted:
            yield Silenced(
                f"tables of the engine {plugin.upper()}, which lie elsewhere, are not opened",
                f"sed -i '/^loose-plugin-{plugin}=/d' {conf}",
            )


DATA = "/var/lib/mysql"  # in the sandbox, as all below
TEMPORARY = f"{DATA}/sorting"
SERVER_SOCKET, LOG = "/ccdr/run/mariadbd.sock", "/tmp/ccdr-server.log"  # noqa: S108
REDO = 256 * 2**20  # bytes of its log, which are taken at once
BORN = Login(
    ("--no-defaults", "--protocol=socket", f"--socket={SERVER_SOCKET}", "--user=root")
)  # until it has our name
LOGIN = Login((*BORN.arguments[:-1], f"--user={SANDBOX_USER}"))
# A server for one afternoon: it need not survive a crash, so it need not write everything twice.
THROWAWAY = {
    "innodb_flush_log_at_trx_commit": "0",
    "innodb_doublewrite": "0",
    "innodb_flush_method": "nosync",
    "innodb_stats_auto_recalc": "0",
    "aria_group_commit": "none",
}
# Settings that not every version has: one that the image's server does not know is no reason not to start.
_NOT_EVERYWHERE = ("old_mode", "character_set_collations")
# An extension of the server that its package does not bring, and what it is there for, in the words of its errors.
LACKS = re.compile(
    r"Plugin '[^']+' is not loaded|Unknown storage engine '[^']+'|Unknown (?:collation|character set): '[^']+'|"
    r"Unknown data type: '[^']+'|Can't open shared library[^\n]*|unknown variable[^\n]*|"
    r"Can't find file:[^\n]*plugin[^\n]*"
)


def fitting_version(box: Place, captured: str) -> str:
    """The image's version; TestBroken where its major is not that of the `captured` one."""
    match = re.search(r"Ver (\d+\.\d+\.\d+)", box.run(["mariadbd", "--version"]).stdout)
    version = match[1] if match else "?"
    require_major("MariaDB", version, captured, (major_of(version), major_of(captured)), "mariadb")
    return version


def settings(inventory: Inventory, memory: int, *, throwaway: bool) -> dict[str, str]:
    """What the sandbox's server is set to. `memory` is in bytes; the rest is the source's."""
    captured = inventory.settings
    options = {
        "datadir": f"{DATA}/data",
        "tmpdir": TEMPORARY,
        "socket": SERVER_SOCKET,
        "skip_networking": "1",
        "skip_log_bin": "1",
        **SILENCED,  # an event would change what is to be compared
        "local_infile": "0",
        "performance_schema": "OFF",
        "max_allowed_packet": "1G",
        "innodb_buffer_pool_size": str(memory // 2),
        "innodb_log_file_size": str(REDO),
        "key_buffer_size": str(memory // 16),
        "aria_pagecache_buffer_size": str(memory // 16),
        "max_heap_table_size": str(max(2 * inventory.memory_bytes, int(captured["max_heap_table_size"]), 2**24)),
        "lc_messages": "en_US",  # we read its errors
    }
    for name in SETTINGS:
        if name in captured:
            options[f"loose-{name}" if name in _NOT_EVERYWHERE else name] = captured[name]
    return options | THROWAWAY if throwaway else options


def configuration(options: Mapping[str, str], plugins: Iterable[str]) -> str:
    """The server's option file; `plugins` are the libraries that it loads."""
    lines = [option_line(name, value) for name, value in options.items()]
    return "".join(["[mariadbd]\n", *lines, *(f"plugin_load_add={name}\n" for name in plugins)])


def start(box: Place, options: Mapping[str, str], plugins: Iterable[str], manifest: Manifest) -> None:
    """Have an empty server answer. `plugins` are the libraries that it loads."""
    conf = configuration(options, plugins)
    try:
        box.run(["bash", "-c", _START], stdin=conf, what="mariadb-install-db and mariadbd")
    except CommandFailed as error:
        words = last_words(box)
        raise TestBroken(
            f"the sandbox's server ({error.the_image}) did not start: {error}"
            + (f"; {words.answer}" if words.answer else ""),
            hint=f"does it lack what `server_settings:` asks for, or a plugin? {image_that_has_it(manifest)}",
            words=words,
        ) from None


def last_words(box: Place) -> FreeText:
    """What the server complained of last."""
    script = f"grep -E 'ERROR|Fatal|unknown' {LOG} | tail -n 5"
    return FreeText(box.run(["sh", "-c", script], ok=range(256)).stdout)


def zone_sql(zone: str) -> str:
    return f"SET GLOBAL time_zone = {quote_text(zone)};\n"


def option_line(name: str, value: str) -> str:
    return f"{name}={_option(value)}\n"


def _option(value: str) -> str:
    """As an option file has it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"' if value else ""


# The accounts that a server is born with are not the source's: its administrator gets a name of our own, so that the
# source's root has room.
OURS_ALONE = f"""\
RENAME USER root@localhost TO {quote_name(SANDBOX_USER)}@localhost;
DELIMITER //
BEGIN NOT ATOMIC
  FOR a IN (SELECT user, host FROM mysql.user WHERE user NOT IN ('mariadb.sys', '{SANDBOX_USER}')) DO
    EXECUTE IMMEDIATE CONCAT('DROP USER ', QUOTE(a.user), '@', QUOTE(a.host));
  END FOR;
END//
"""
# One command, since each costs 60 ms; the settings come on its standard input.
_START = f"""set -e
mkdir -p {TEMPORARY}
cat > {DATA}/ccdr.cnf
mariadb-install-db --defaults-file={DATA}/ccdr.cnf --auth-root-authentication-method=normal --skip-test-db \\
  --skip-name-resolve > {LOG} 2>&1 || {{ code=$?; cat {LOG} >&2; exit $code; }}
setsid mariadbd --defaults-file={DATA}/ccdr.cnf < /dev/null > {LOG} 2>&1 &
server=$!
until echo 'SELECT 1' | {shlex.join(BORN.asking())} > /dev/null 2>&1; do
  kill -0 $server
  sleep 0.05
done
{shlex.join(BORN.asking())} <<'END'
SET SESSION sql_mode='';
{OURS_ALONE}END
"""
