"""What a restored PostgreSQL server does not do by itself until somebody says so: archive, subscribe, follow another
server, wait for one, run jobs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from ccdr.engines.servers.silenced import Silenced

# Of the captured server's settings these are never taken over, wherever they stood.
SILENCED = frozenset(
    (
        *("archive_mode", "archive_command", "archive_library", "archive_timeout"),
        *("archive_cleanup_command", "recovery_end_command", "restore_command"),
        *("primary_conninfo", "primary_slot_name", "sync_replication_slots"),
        *("synchronous_standby_names", "synchronized_standby_slots"),
        *("bonjour", "max_logical_replication_workers"),
    )
)
LIBRARIES = "shared_preload_libraries"
SUBSCRIBERS = "max_logical_replication_workers"  # none: no subscription is at work
# A library that runs jobs, and the setting by which it runs none: the extension still works.
SCHEDULERS: Mapping[str, tuple[str, str]] = {
    "pg_cron": ("cron.launch_active_jobs", "off"),
    "timescaledb": ("timescaledb.max_background_workers", "0"),
}
# Libraries that act by themselves and have no such setting: the server does not load them.
ACTING = frozenset(
    (
        *("bdr", "citus", "pg_net", "pg_partman_bgw", "pg_squeeze", "pg_tracing", "pgactive", "pglogical", "spock"),
        "vectorize",
    )
)


def libraries_of(settings: Mapping[str, str]) -> list[str]:
    """What a server with these loads when it starts, by name."""
    named = settings.get(LIBRARIES, "")
    return [name for part in named.split(",") if (name := part.strip().strip('"'))]


def without_jobs(settings: Mapping[str, str], stated: Mapping[str, str]) -> dict[str, str]:
    """`settings`, and before them what a person has `stated`; but that no library runs jobs, unless that was stated,
    and none is loaded for `settings` alone that acts by itself."""
    loaded = libraries_of(settings)
    kept = [name for name in loaded if name not in ACTING]
    out = {**settings, **({} if kept == loaded else {LIBRARIES: ",".join(kept)}), **stated}
    return {**dict(SCHEDULERS[name] for name in libraries_of(out) if name in SCHEDULERS), **out}


def of_settings(captured: Mapping[str, str], wanted: Mapping[str, str], conf: str) -> Iterator[Silenced]:
    """What of the captured server's stands still, by its settings, but for what is `wanted`; `conf` is the path of the
    new configuration, which a server that is started anew reads."""
    if captured.get("archive_mode") in ("on", "always") and "archive_mode" not in wanted:
        lines = shlex.join(["archive_mode = on", "archive_command = '…'"])
        yield Silenced("it archives no log (archive_mode, archive_command)", f"printf '%s\\n' {lines} >> {conf}")
    for name in libraries_of({**captured, **wanted}):
        setting, _ = SCHEDULERS.get(name, (LIBRARIES, ""))
        if name in SCHEDULERS and setting not in wanted:
            yield Silenced(f"the jobs of {name} ({setting})", f"sed -i '/^{setting} /d' {conf}")
        elif name in ACTING and LIBRARIES not in wanted:
            line = shlex.quote(f"{LIBRARIES} = '{captured[LIBRARIES]}'")
            yield Silenced(f"{name}, which acts by itself, is not loaded ({LIBRARIES})", f"echo {line} >> {conf}")


def of_subscriptions(named: str, conf: str) -> Silenced:
    """`named` are they, in words."""
    what = f"{named} ({SUBSCRIBERS} = 0): what their publishers sent after that moment is not in it, so make them anew"
    return Silenced(what, f"sed -i '/^{SUBSCRIBERS} /d' {conf}")
