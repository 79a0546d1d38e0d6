"""How a container is shut off: what Docker was asked for, what it says once the container runs, and where they differ.

A daemon that does not know an option, a plugin that changes what is asked for, another engine behind the same socket:
what was asked for proves nothing. Facts are of closed kinds: kinds of mounts and places inside the container, never
the host's paths. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ccdr.model.finding import Finding

NONE, ALL = "none", "ALL"
# What a kernel may be unable to limit, by the daemon's word for being able to (`docker info`).
LIMITS = {"memory_limit": "MemoryLimit", "memory_and_swap_limit": "SwapLimit", "pids_limit": "PidsLimit"}

Facts = dict[str, object]


@dataclass(frozen=True)
class Deviation:
    """A fact that is not as it was asked for."""

    fact: str
    asked: Any
    observed: Any

    def __str__(self) -> str:
        return f"{self.fact} is {_shown(self.observed)} instead of {_shown(self.asked)}"


def asked(config: Mapping[str, Any]) -> Facts:
    """By what the container is created from."""
    host = config["HostConfig"]
    mounts = [(m["Type"], m["Target"], not m.get("ReadOnly")) for m in host.get("Mounts") or ()]
    return _facts(host, config["Image"], config.get("User"), attached=[], mounts=mounts)


def observed(inspected: Mapping[str, Any]) -> Facts:
    """By `docker inspect`, once it runs."""
    networks = ((inspected.get("NetworkSettings") or {}).get("Networks") or {}).keys()
    return _facts(
        inspected.get("HostConfig") or {},
        inspected.get("Image"),
        (inspected.get("Config") or {}).get("User"),
        attached=sorted(set(networks) - {"none", "host"}),
        mounts=[(m.get("Type"), m.get("Destination"), bool(m.get("RW"))) for m in inspected.get("Mounts") or ()],
    )


def unnamed(mounts: object, outside: Sequence[str]) -> list[str]:
    """Those of a fact, without the paths of a source's: they are nobody's to read in a record."""
    assert isinstance(mounts, list)
    shown = [(line, next((path for path in outside if f" {path} " in line), None)) for line in mounts]
    return [line if path is None else line.partition(path)[0] + "at a path of the source's" for line, path in shown]


def differences(wanted: Facts, there: Facts) -> list[Deviation]:
    return [Deviation(fact, value, there.get(fact)) for fact, value in wanted.items() if there.get(fact) != value]


def not_shut_off(differing: Sequence[Deviation]) -> str:
    return f"the sandbox is not shut off as it was asked for: {'; '.join(map(str, differing))}"


def found_open(differing: Sequence[Deviation]) -> Finding:
    return Finding(not_shut_off(differing), "sandbox not shut off", cause="; ".join(map(str, differing)))


def _facts(
    host: Mapping[str, Any], image: object, user: object, *, attached: list[str], mounts: list[tuple[Any, Any, bool]]
) -> Facts:
    binds = [f"{kind} {inside} {'writable' if writable else 'read-only'}" for kind, inside, writable in mounts]
    tmpfs = [f"tmpfs {inside} {options}".strip() for inside, options in (host.get("Tmpfs") or {}).items()]
    return {
        "image_digest": image,
        "network": host.get("NetworkMode"),
        "networks": attached,
        "root": "read-only" if host.get("ReadonlyRootfs") else "writable",
        "user": user or "root",
        "capabilities": _capabilities(host),
        "privileged": bool(host.get("Privileged")),
        "no_new_privileges": _forbids_new_privileges(host),
        "shared_with_host": list(_shared(host)),
        "mounts": sorted(binds + tmpfs),
        "memory_limit": host.get("Memory"),
        "memory_and_swap_limit": host.get("MemorySwap"),
        "pids_limit": host.get("PidsLimit"),
        "shm_bytes": host.get("ShmSize"),
        "core_dumps": _core(host),
        "log_driver": (host.get("LogConfig") or {}).get("Type"),
    }


def _capabilities(host: Mapping[str, Any]) -> str:
    """What it has; `none` where all were taken away and none given back."""

    def named(key: str) -> list[str]:
        return sorted(str(name).upper().removeprefix("CAP_") for name in host.get(key) or ())

    dropped, added = named("CapDrop"), named("CapAdd")
    if dropped == [ALL]:
        return ", ".join(added) or NONE
    less, more = ", ".join(dropped) or "nothing", ", ".join(added)
    return f"the daemon's own without {less}" + (f", and {more}" if more else "")


def _forbids_new_privileges(host: Mapping[str, Any]) -> bool:
    words = ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")
    options = [str(option) for option in host.get("SecurityOpt") or ()]
    return any(option in words for option in options)


def _shared(host: Mapping[str, Any]) -> Iterator[str]:
    """What of the host it shares, or how it is let go, beside its network."""
    for key, what in (("PidMode", "processes"), ("IpcMode", "ipc"), ("UTSMode", "name"), ("UsernsMode", "users")):
        if str(host.get(key) or "") == "host":
            yield what
    if host.get("Devices"):
        yield "devices"
    yield from sorted(str(option) for option in host.get("SecurityOpt") or () if "unconfined" in str(option))


def _core(host: Mapping[str, Any]) -> str:
    limits = [limit for limit in host.get("Ulimits") or () if limit.get("Name") == "core"]
    return "off" if limits and all(limit.get("Hard") == 0 for limit in limits) else "as the daemon has it"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "unset" if value is None else str(value)
