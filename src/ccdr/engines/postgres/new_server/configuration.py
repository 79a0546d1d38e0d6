"""What a new server is set to, asked about, written into its home and tried: where it listens, whom it lets in, what
the captured one had set that it needs.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ccdr.engines.postgres import server, server_settings
from ccdr.engines.postgres.inventory import conf_line, quote_name
from ccdr.engines.postgres.new_server.homes import DATA, PATIENCE
from ccdr.engines.postgres.physical.capture import CLUSTER
from ccdr.engines.postgres.server_settings import NOT_SET, libraries_of, without_jobs
from ccdr.engines.servers.new_server import told as silenced_told
from ccdr.model.answers import lacking
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.model.values import Manifest, human_bytes
from ccdr.ports.new_server import Site
from ccdr.ports.place import Place

MARK = "ccdr.recovery"  # a setting of ours, by which the server is told from others
LOGS, RUN, CAPTURED = "log", "run", "captured"  # beside the data, in the home
CONF, AUTO, HBA, IDENT = "postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"
MAP = "ccdr"  # in pg_ident.conf
MEMORY_PART = 4  # at most this part of the host's memory goes into shared buffers
# Shipping and standbys need as many; whatever the captured server had.
SENDERS = 10


def postgresql_conf(site: Site, port: int, captured: Mapping[str, str], more: Mapping[str, str]) -> str:
    """`captured` is what the captured server had set, `more` what goes before it; the plan's own goes before all."""
    data, home = site.home / CLUSTER, site.home
    wal_level = "logical" if captured.get("wal_level") == "logical" else "replica"
    options = {
        **taken(captured, site.settings),
        "wal_level": wal_level,
        "max_wal_senders": str(max(SENDERS, int(captured.get("max_wal_senders", SENDERS)))),
        "max_replication_slots": str(max(SENDERS, int(captured.get("max_replication_slots", SENDERS)))),
        "data_directory": str(data),
        "hba_file": str(data / HBA),
        "ident_file": str(data / IDENT),
        "listen_addresses": site.address,
        "port": str(port),
        "unix_socket_directories": str(site.socket_directory),
        "logging_collector": "on",
        "log_directory": str(home / LOGS),
        "log_filename": "postgresql-%Y-%m-%d.log",
        **more,
        **site.settings,
        MARK: site.mark,
    }
    lines = "".join(conf_line(key, value) for key, value in options.items() if value or key != MARK)
    return f"# Written by ccdr. What the captured server had is in {home / CAPTURED}.\n{lines}"


def taken(captured: Mapping[str, str], stated: Mapping[str, str]) -> dict[str, str]:
    """What is taken over of the captured server's settings, beside those that the target states: nothing by which it
    acts on others by itself."""
    return without_jobs({name: value for name, value in captured.items() if name not in NOT_SET}, stated)


def pg_hba_conf(site: Site, *, old_passwords: bool) -> str:
    """Whoever is on this host by the account of the same name, and passwords over the network. Where any of them is
    stored as `md5`, that word: it takes the newer ones too."""
    method = "md5" if old_passwords else "scram-sha-256"
    networks = ("samenet",) if site.listens_beyond else ("127.0.0.1/32", "::1/128")
    lines = [f"local all all peer map={MAP}", f"local replication all peer map={MAP}"]
    lines += [f"host {what} all {network} {method}" for network in networks for what in ("all", "replication")]
    return "# Written by ccdr: database, role, from where, how.\n" + "".join(f"{line}\n" for line in lines)


def whence(site: Site) -> str:
    """From where passwords are taken."""
    return "from its own networks (samenet)" if site.listens_beyond else "from this host"


def pg_ident_conf(owner: str, roles: Sequence[str]) -> str:
    """These roles are for whoever the server runs as, and for root; all others have the name of their account."""
    accounts = (owner, "root")
    lines = [f"{MAP} {account} {quote_name(role)}\n" for account in accounts for role in roles]
    return f"# Written by ccdr: map, account, role.\n{''.join(lines)}{MAP} /^(.*)$ \\1\n"


def fitted(captured: Mapping[str, str], memory: int) -> tuple[dict[str, str], list[str]]:
    """What was captured, as a host with so many bytes of memory can have it; notes."""
    buffers = captured.get("shared_buffers", "")
    most = memory // MEMORY_PART
    if not buffers.isdigit() or int(buffers) * 8192 <= most:
        return dict(captured), []
    less = {**captured, "shared_buffers": f"{most >> 20}MB"}
    return less, [
        f"the captured server had shared_buffers of {human_bytes(int(buffers) * 8192)}; this host gets "
        f"{human_bytes(most)}: `settings: {{shared_buffers: …}}` says otherwise"
    ]


def told(captured: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    """What else of the captured server's settings is not taken over, and what to do; `wanted` is what the plan sets."""
    if captured.get("ssl") == "on" and "ssl" not in wanted:
        yield "it spoke TLS: the new server does not, until `settings:` name ssl, ssl_cert_file and ssl_key_file"


def captured_settings(contents: Mapping[str, Any]) -> dict[str, str]:
    """As far as the manifest has their values."""
    told = contents["settings"].items()
    settings = {str(name): str(value) for name, value in told if value is not None}
    return {"TimeZone": str(contents["timezone"]), **settings}


def libraries(captured: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """What the server loads when it starts, by name."""
    return libraries_of(without_jobs(captured, wanted))


def locales(contents: Mapping[str, Any]) -> set[str]:
    """Without these its databases cannot be connected to, or it does not start."""
    databases = contents["databases"].values() if "databases" in contents else [contents]
    named = {str(d[key]) for d in databases for key in ("collate", "ctype")}
    settings = captured_settings(contents)
    named |= {settings[key] for key in ("lc_monetary", "lc_numeric", "lc_time") if key in settings}
    return named - {"C", "POSIX", "C.UTF-8", "C.utf8", ""}


def socket_path(directory: Path, port: int) -> Path:
    return directory / f".s.PGSQL.{port}"


# Sets the new server up: its own configuration is asked about, written into its home, and tried.

# The server's word on each setting of a file; it starts nothing.
_KNOWN = """cat > /tmp/ccdr-asked.conf && postgres -D /tmp -c config_file=/tmp/ccdr-asked.conf -C data_directory"""
# Does it start with its own configuration? With what is different here on standard input.
_TRIED = "/tmp/ccdr-tried.conf"  # noqa: S108 - in the box
_TRY = f"""set -e
{{ echo "include '{DATA}/{CONF}'"; cat; }} > {_TRIED}
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
    data, aside = home / CLUSTER, home / CAPTURED
    aside.mkdir(mode=0o700, exist_ok=True)
    for name in (AUTO, "standby.signal", "recovery.signal"):
        if (kept := data / f"{name}.captured").exists() and not (aside / name).exists():
            kept.rename(aside / name)
        kept.unlink(missing_ok=True)
    for name in (CONF, HBA, IDENT, *_OF_THE_BACKUP):
        if (data / name).exists() and not (aside / name).exists():
            (data / name).rename(aside / name)


def captured_ident(home: Path) -> str:
    try:
        return (home / CAPTURED / IDENT).read_text("utf-8", "replace")
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
    for name, mode in ((LOGS, 0o700), (RUN, 0o755)):
        (home / name).mkdir(exist_ok=True)
        (home / name).chmod(mode)


def start_once(box: Place, home: Path, settings: Mapping[str, str], of_sandbox: Mapping[str, str]) -> None:
    """TestBroken where it does not start with its own settings, but for what only this host has. `settings` are the
    plan's of the new server, `of_sandbox` those of the sandbox: what its image lacks."""
    here = {
        "listen_addresses": "",
        "unix_socket_directories": server.SOCKETS,
        "data_directory": DATA,
        "hba_file": f"{DATA}/{HBA}",
        "ident_file": f"{DATA}/{IDENT}",
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


# A base backup that is handed over as files: a server that somebody starts on them reads nothing of another place,
# and does nothing to others by itself.

# Settings, and what makes a server follow another one, or recover by the source's own commands.
_DECIDING = (CONF, AUTO, "standby.signal", "recovery.signal")
# Who may come in: kept, but where it is read from elsewhere.
_LETTING_IN = {HBA: "local all all peer\n", IDENT: ""}
_READS_OTHERS = re.compile(r"^[^#\n]*(?:\binclude|@)", re.MULTILINE)


def hand_over(restored: Path, final: Path, manifest: Manifest) -> list[str]:
    """Its configuration is put aside: it names the places that the source had, and what that did to others. In its
    place are the settings without which no server runs on these files, or applies their log."""
    data, aside = restored / CLUSTER, restored / CAPTURED
    aside.mkdir(mode=0o700, exist_ok=True)
    other = [name for name in _LETTING_IN if (data / name).exists() and _reads_others(data / name)]
    for name in (*_DECIDING, *other):
        if (data / name).exists():
            (data / name).rename(aside / name)
    captured = captured_settings(manifest.contents)
    settings = {**taken(captured, {}), server_settings.SUBSCRIBERS: "0"}
    lines = "".join(conf_line(name, value) for name, value in settings.items())
    head = f"# Written by ccdr. What the captured server had is in {final / CAPTURED}.\n"
    for name, text in {CONF: head + lines, AUTO: "", **_LETTING_IN}.items():
        if not (data / name).exists():
            (data / name).write_text(text, "utf-8")
            (data / name).chmod(0o600)
    where = shlex.quote(str(final / CLUSTER / CONF))
    still = [
        *server_settings.of_settings(captured, {}, where),
        server_settings.of_subscriptions("any subscription of it", where),
    ]
    return [
        f"its own configuration is in {CAPTURED}/, and nothing reads it: {CLUSTER}/{CONF} is a new one",
        *silenced_told(still),
        "DROP SUBSCRIPTION there drops the slot that the source uses, unless ALTER SUBSCRIPTION … DISABLE and ALTER "
        "SUBSCRIPTION … SET (slot_name = NONE) go before it",
    ]


def _reads_others(path: Path) -> bool:
    return _READS_OTHERS.search(path.read_text("utf-8", "replace")) is not None
