"""The new server's own configuration: where it is, and what was captured of the one whose place it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ccdr.engines.mariadb.binlog import new_server_id
from ccdr.engines.mariadb.inventory import OF_SERVER, SETTINGS, Inventory
from ccdr.engines.mariadb.logfile import base_of, started_at
from ccdr.engines.mariadb.server import NOT_TAKEN, OWN_CONF, for_good, option_line
from ccdr.engines.servers.new_server import refuse_settings
from ccdr.engines.servers.target import differing
from ccdr.model.values import Manifest
from ccdr.ports.new_server import Site

CONF = OWN_CONF
# All below the home.
DATA, BINLOG, LOGS, RUN = "data", "binlog", "log", "run"
ERRORS = f"{LOGS}/error.log"
# Whose options are called otherwise than the variables.
_CALLED = {"tx_isolation": "transaction_isolation"}
# Of the source's, what it had as it was captured, whatever its size: a server of another machine may have less.
_BUFFER_POOL = "innodb_buffer_pool_size"
MOST_MEMORY = 0.6  # of this host's, for the buffer pool
# What a target says by words of its own, and what would open what is to stay shut.
_OURS = {
    "datadir": "directory",
    "socket": "sockets",
    "port": "port",
    "bind_address": "address",
    "user": "owner",
    **dict.fromkeys(
        ("init_file", "log_bin", "log_error", "pid_file", "server_id", "skip_grant_tables", "skip_networking"), None
    ),
    **dict.fromkeys(  # another server's files may lie there
        ("innodb_data_home_dir", "innodb_undo_directory", "innodb_log_group_home_dir", "aria_log_dir_path"), None
    ),
    "relay_log": "a new server is nobody's replica",
}
# With which it is not started the first time, by nobody but ccdr.
_TRIED_OTHERWISE = (_BUFFER_POOL, "event_scheduler", "key_buffer_size")
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


def asked_for(site: Site) -> dict[str, str]:
    """The settings that the target states, by their options' names. UsageProblem where one is not for it to state."""
    named = {name.lower().replace("-", "_").removeprefix("loose_"): value for name, value in site.settings.items()}
    refuse_settings(named, "MariaDB", _OPTION, _OURS)
    return named


@dataclass(frozen=True)
class Own:
    """`kept` is how a copy's files are laid out, `memory` this host's in bytes, `given` what else of the source's own
    variables it is set to."""

    site: Site
    manifest: Manifest
    port: int
    socket: Path
    kept: Mapping[str, str]
    memory: int
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.manifest.contents)

    @property
    def logs(self) -> bool:
        """Does it write a binary log, as the source did?"""
        return self.inventory.settings["log_bin"] in ("ON", "1")

    @property
    def buffer_pool(self) -> tuple[int, int]:
        """As captured, and as this host can have it."""
        captured = int(self.inventory.settings[_BUFFER_POOL])
        return captured, min(captured, int(self.memory * MOST_MEMORY))

    def options(self, home: str) -> dict[str, str]:
        """Of a server whose files are below `home`."""
        inventory, at = self.inventory, PurePosixPath(home)
        captured = {**self.given, **inventory.settings}
        out = {
            "datadir": str(at / DATA),
            "pid_file": str(at / RUN / "mariadbd.pid"),
            "log_error": str(at / ERRORS),
            "socket": str(self.socket),
            "bind_address": self.site.address,
            "port": str(self.port),
            "server_id": str(new_server_id(self.site.mark)),
            **for_good(inventory.facts["plugins"]),
        }
        if self.logs:
            out["log_bin"] = str(at / BINLOG / self._log_name)
        for name in (*SETTINGS, *OF_SERVER, "max_heap_table_size", "binlog_row_image", *self.given):
            if name in captured and name not in NOT_TAKEN:
                out[f"loose-{_CALLED.get(name, name)}"] = captured[name]
        out[f"loose-{_BUFFER_POOL}"] = str(self.buffer_pool[1])
        if captured["time_zone"] != "SYSTEM":
            out["default_time_zone"] = inventory.zone
        for name, value in {**self.kept, **asked_for(self.site)}.items():
            out.pop(f"loose-{name}", None)
            out[name] = value
        return out

    @property
    def _log_name(self) -> str:
        """As the source's log is called: its files' numbers begin anew."""
        if self.manifest.contents["binlog"] is not None:
            return base_of(started_at(self.manifest)[0]) or BINLOG
        return BINLOG

    def notes(self, source: Mapping[str, str | None], there: Mapping[str, str]) -> Iterator[str]:
        """What it does otherwise than the `source`, `there` being what it has started with."""
        ours = {*_OURS, *asked_for(self.site), *_TRIED_OTHERWISE}
        if other := [name for name in differing(source, there) if name not in ours]:
            yield (
                f"set at the source, and not so here: {', '.join(other)} (the target's `settings:` can set what this "
                "host has)"
            )

    def text(self, home: str) -> str:
        lines = [
            f"# MariaDB {self.inventory.version}, made new by ccdr of the snapshot of {self.manifest.plan}/"
            f"{self.manifest.asset} of {self.manifest.consistent_point:%Y-%m-%d %H:%M:%S} UTC.\n",
            "# Read by `mariadbd --defaults-file`: no other file is. What begins with `loose-` is as captured.\n",
            "[mariadbd]\n",
            *(option_line(name, value) for name, value in self.options(home).items()),
            *(f"plugin_load_add={name}\n" for name in self.inventory.libraries),
        ]
        return "".join(lines)
