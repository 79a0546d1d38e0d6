"""What a restored MariaDB server does not do by itself until somebody says so: run events, follow another server, join
a cluster, open tables that lie elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ccdr.engines.servers.silenced import Silenced

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
