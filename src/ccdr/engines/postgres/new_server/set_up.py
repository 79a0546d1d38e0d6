"""Sets the new server up: its own configuration is asked about, written into its home, and tried."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ccdr.engines.postgres import server
from ccdr.engines.postgres.inventory import conf_line
from ccdr.engines.postgres.new_server import configuration as conf
from ccdr.engines.postgres.new_server.homes import DATA, PATIENCE
from ccdr.engines.postgres.physical.capture import CLUSTER
from ccdr.model.answers import lacking
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.ports.place import Place

# The server's word on each setting of a file; it starts nothing.
_KNOWN = """cat > /tmp/ccdr-asked.conf && postgres -D /tmp -c config_file=/tmp/ccdr-asked.conf -C data_directory"""
# Does it start with its own configuration? With what is different here on standard input.
_TRIED = "/tmp/ccdr-tried.conf"  # noqa: S108 - in the box
_TRY = f"""set -e
{{ echo "include '{DATA}/{conf.CONF}'"; cat; }} > {_TRIED}
: > {server.LOG}
pg_ctl -D {DATA} -w -t {PATIENCE} -l {server.LOG} -s -o "-c config_file={_TRIED}" start
pg_ctl -D {DATA} -w -t {PATIENCE} -m fast -s stop
"""
_OF_THE_BACKUP = ("backup_manifest", "backup_label.old", "tablespace_map.old")
_OF_THE_BOX = ("postmaster.opts", "postmaster.pid", "current_logfiles", "standby.signal", "recovery.signal")


def ask(box: Place, settings: Mapping[str, str]) -> None:
    """TestBroken where the plan sets what this server does not have, before hours go into a load."""
    text = "".join(conf_line(key, value) for key, value in settings.items())
    try:
        box.run(["sh", "-c", _KNOWN], stdin=text, what="reading the new server's `settings:`")
    except CommandFailed as error:
        raise TestBroken(
            f"{error}; {lacking(error.stderr, settings)}",
            hint="mend `settings:` of the new server",
            words=error.stderr,
        ) from None


def put_aside(home: Path) -> None:
    """What was captured of the server's own configuration, for people to look at: nothing of it holds any more. What
    stands there already is of the captured one: this is done once more where a recovery goes on."""
    data, aside = home / CLUSTER, home / conf.CAPTURED
    aside.mkdir(mode=0o700, exist_ok=True)
    for name in (conf.AUTO, "standby.signal", "recovery.signal"):
        if (kept := data / f"{name}.captured").exists() and not (aside / name).exists():
            kept.rename(aside / name)
        kept.unlink(missing_ok=True)
    for name in (conf.CONF, conf.HBA, conf.IDENT, *_OF_THE_BACKUP):
        if (data / name).exists() and not (aside / name).exists():
            (data / name).rename(aside / name)


def captured_ident(home: Path) -> str:
    try:
        return (home / conf.CAPTURED / conf.IDENT).read_text("utf-8", "replace")
    except OSError:  # a dump has none, and Debian's lies elsewhere
        return ""


def write(home: Path, texts: Mapping[str, str]) -> None:
    """Its configuration files, by name, and the directories beside its data; nothing of the container's stays."""
    data = home / CLUSTER
    for name in _OF_THE_BOX:
        (data / name).unlink(missing_ok=True)
    status = data.stat()
    for name, text in texts.items():
        path = data / name
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        os.chown(path, status.st_uid, status.st_gid)
    for name, mode in ((conf.LOGS, 0o700), (conf.RUN, 0o755)):
        (home / name).mkdir(exist_ok=True)
        (home / name).chmod(mode)


def start_once(box: Place, home: Path, settings: Mapping[str, str], of_sandbox: Mapping[str, str]) -> None:
    """TestBroken where it does not start with its own settings, but for what only this host has. `settings` are the
    plan's of the new server, `of_sandbox` those of the sandbox: what its image lacks."""
    here = {
        "listen_addresses": "",
        "unix_socket_directories": server.SOCKETS,
        "data_directory": DATA,
        "hba_file": f"{DATA}/{conf.HBA}",
        "ident_file": f"{DATA}/{conf.IDENT}",
        "logging_collector": "off",
        **of_sandbox,
    }
    try:
        text = "".join(conf_line(key, value) for key, value in here.items())
        box.run(["sh", "-c", _TRY], stdin=text, what="starting the new server by its own settings")
    except CommandFailed as error:
        words = error.stderr + server.last_words(box)
        raise TestBroken(
            f"{error}; {lacking(words, settings)}",
            hint="mend `settings:` of the new server; or name an image that has what the source has (`image:`)",
            words=words,
        ) from None
    for name in _OF_THE_BOX:
        (home / CLUSTER / name).unlink(missing_ok=True)
