"""What a new server is set to: where it listens, whom it lets in, what the captured one had set that it needs. Texts
of its configuration files; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ccdr.engines.postgres.captured_settings import NOT_SET
from ccdr.engines.postgres.inventory import conf_line
from ccdr.engines.postgres.physical.capture import CLUSTER
from ccdr.engines.postgres.silenced import libraries_of, without_jobs
from ccdr.model.values import human_bytes
from ccdr.ports.new_server import Site

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
    lines = [f"{MAP} {account} {quoted(role)}\n" for account in accounts for role in roles]
    return f"# Written by ccdr: map, account, role.\n{''.join(lines)}{MAP} /^(.*)$ \\1\n"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


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
    """As far as the manifest has their values; an older one tells a few of them, or none."""
    told = (contents.get("settings") or {}).items()
    settings = {str(name): str(value) for name, value in told if value is not None}
    return {"TimeZone": str(contents["timezone"]), **settings}


def libraries(captured: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """What the server loads when it starts, by name."""
    return libraries_of(without_jobs(captured, wanted))


def locales(contents: Mapping[str, Any]) -> set[str]:
    """Without these its databases cannot be connected to, or it does not start."""
    databases = list((contents.get("databases") or {}).values()) or [contents]
    named = {str(d[key]) for d in databases for key in ("collate", "ctype") if d.get(key)}
    settings = captured_settings(contents)
    named |= {settings[key] for key in ("lc_monetary", "lc_numeric", "lc_time") if key in settings}
    return named - {"C", "POSIX", "C.UTF-8", "C.utf8", ""}


def socket_path(directory: Path, port: int) -> Path:
    return directory / f".s.PGSQL.{port}"
