"""How a sandbox is shut off is seen once it runs, and compared with what was asked for: another daemon, a plugin or an
option that is not known would else be recorded as what was wished."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.api.client import APIClient

from ccdr.evidence.records.restores import Difference
from ccdr.host.clock import SystemClock
from ccdr.jobs.services import recorded_sandbox
from ccdr.sandbox import isolation
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import BoxSpec, Docker, Image, _of_registry

IMAGE = Image("postgres:17", "sha256:" + "a" * 64, ("/var/lib/data", "/extra"), "postgres@sha256:" + "b" * 64)
SPEC = BoxSpec(
    image=IMAGE,
    run="r",
    user="postgres",
    mounts=((Path("/srv/customers of acme"), "/ccdr/in", False), (Path("/srv/out"), "/ccdr/out", True)),
    data_dir="/var/lib/data",
    data_bytes=2**20,
)


class Daemon:
    """A daemon that does what it is asked for, but for `fault`. That one ignores an option cannot be had of a real one."""

    def __init__(self, fault: Callable[[dict[str, Any]], None] = lambda inspected: None, **info: object) -> None:
        self._real, self._fault, self._info, self.asked_for = APIClient(version="1.45"), fault, info, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def inspect_container(self, container: str) -> dict[str, Any]:
        config = self.config
        host = copy.deepcopy(config["HostConfig"])
        mounts = [
            {"Type": m["Type"], "Source": m["Source"], "Destination": m["Target"], "Mode": "", "RW": not m["ReadOnly"]}
            for m in host["Mounts"]
        ]
        said = {
            "Image": config["Image"],
            "Config": {"User": config["User"]},
            "HostConfig": host,
            "NetworkSettings": {"Networks": {"none": {"IPAddress": ""}}},
            "Mounts": mounts,
        }
        self._fault(said)
        return said

    def info(self) -> dict[str, object]:
        self.asked_for += 1
        return self._info


def seen(daemon: Daemon, spec: BoxSpec = SPEC, volume: str | None = None) -> Box:
    docker = Docker(SystemClock(), "state")
    docker.__dict__["_client"] = SimpleNamespace(api=daemon)
    daemon.config = docker._config(spec, volume)
    box = docker._box(spec, "id", isolation.asked(daemon.config))
    docker.observe(box)
    return box


def test_a_daemon_that_does_as_it_is_asked_differs_in_nothing() -> None:
    daemon = Daemon()
    box = seen(daemon)
    assert box.differs == () and daemon.asked_for == 0, "nothing but `inspect` is asked"
    assert {k: box.facts[k] for k in ("network", "networks", "root", "user", "capabilities", "no_new_privileges")} == {
        "network": "none", "networks": [], "root": "read-only", "user": "postgres", "capabilities": "none",
        "no_new_privileges": True,
    }  # fmt: skip
    assert box.facts["image_digest"] == IMAGE.id and box.facts["registry_digest"] == IMAGE.registry_digest
    assert (box.facts["log_driver"], box.facts["core_dumps"], box.facts["pids_limit"]) == ("none", "off", 512)
    assert box.facts["memory_limit"] == box.facts["memory_and_swap_limit"] == 2**30 + 2**28 + 2**20
    assert (box.facts["shm_bytes"], box.facts["unlimited"]) == (2**28, [])


def test_mounts_are_told_by_kind_and_where_they_are_inside_never_by_the_hosts_path() -> None:
    box = seen(Daemon())
    assert box.facts["mounts"] == [
        "bind /ccdr/in read-only",
        "bind /ccdr/out writable",
        "tmpfs /ccdr/run size=16m,mode=1777",
        "tmpfs /extra size=1m",
        "tmpfs /tmp size=256m,mode=1777",
        "tmpfs /var/lib/data size=1048576,mode=1777",
    ]
    assert "acme" not in repr(box.facts)


def test_data_on_disk_is_a_volume_of_its_own() -> None:
    spec = BoxSpec(**{**SPEC.__dict__, "data_on_disk": True})
    box = seen(Daemon(), spec, volume="ccdr-r")
    assert box.differs == () and "volume /var/lib/data writable" in box.facts["mounts"]


def of_host(**changes: object) -> Callable[[dict[str, Any]], None]:
    return lambda said: said["HostConfig"].update(changes)


def attached(said: dict[str, Any]) -> None:
    said["NetworkSettings"]["Networks"]["bridge"] = {"IPAddress": "172.17.0.2"}


def anonymous(said: dict[str, Any]) -> None:
    said["Mounts"].append({"Type": "volume", "Name": "0" * 64, "Source": "/x", "Destination": "/cache", "RW": True})


def writable(said: dict[str, Any]) -> None:
    said["Mounts"][0]["RW"] = True


def as_root(said: dict[str, Any]) -> None:
    said["Config"]["User"] = ""


def another_image(said: dict[str, Any]) -> None:
    said["Image"] = "sha256:" + "c" * 64


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a network": (of_host(NetworkMode="bridge"), "network is bridge instead of none"),
    "a network attached": (attached, "networks is bridge instead of none"),
    "capabilities not dropped": (
        of_host(CapDrop=None),
        "capabilities is the daemon's own without nothing instead of none",
    ),
    "a capability added": (of_host(CapAdd=["CAP_NET_RAW"]), "capabilities is NET_RAW instead of none"),
    "privileged": (of_host(Privileged=True), "privileged is on instead of off"),
    "root writable": (of_host(ReadonlyRootfs=False), "root is writable instead of read-only"),
    "root's own user": (as_root, "user is root instead of postgres"),
    "new privileges": (of_host(SecurityOpt=None), "no_new_privileges is off instead of on"),
    "no seccomp": (
        of_host(SecurityOpt=["no-new-privileges", "seccomp=unconfined"]),
        "shared_with_host is seccomp=unconfined instead of none",
    ),
    "the host's processes": (of_host(PidMode="host"), "shared_with_host is processes instead of none"),
    "a mount more": (anonymous, "mounts is "),
    "a mount writable": (writable, "mounts is "),
    "no processes limit": (of_host(PidsLimit=None), "pids_limit is unset instead of 512"),
    "swap": (of_host(MemorySwap=-1), "memory_and_swap_limit is -1 instead of"),
    "less shared memory": (of_host(ShmSize=2**26), "shm_bytes is 67108864 instead of 268435456"),
    "core dumps": (of_host(Ulimits=[]), "core_dumps is as the daemon has it instead of off"),
    "logs kept": (of_host(LogConfig={"Type": "json-file"}), "log_driver is json-file instead of none"),
    "another image": (another_image, "image_digest is sha256:ccc"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_daemon_does_otherwise_is_found(fault: str) -> None:
    do, expected = FAULTS[fault]
    box = seen(Daemon(do))
    (found,) = box.differs
    assert expected in str(found)
    assert recorded_sandbox(IMAGE, box).differs == [
        Difference(fact=found.fact, asked=found.asked, observed=found.observed)
    ]
    assert found.asked != found.observed
    assert expected in isolation.not_shut_off(box.differs)


@pytest.mark.parametrize("able", [False, True])
def test_what_the_kernel_cannot_limit_is_told_and_is_no_finding(able: bool) -> None:
    """Old kernels count no swap, and the daemon says so: no one has changed anything. Where it can, somebody has."""
    box = seen(Daemon(of_host(MemorySwap=-1), SwapLimit=able))
    assert box.facts["unlimited"] == ([] if able else ["memory_and_swap_limit"])
    assert len(box.differs) == able and box.facts["memory_and_swap_limit"] == -1


def test_a_kernel_without_limits_excuses_nothing_else() -> None:
    def fault(said: dict[str, Any]) -> None:
        of_host(MemorySwap=-1, NetworkMode="host")(said)

    assert [d.fact for d in seen(Daemon(fault, SwapLimit=False)).differs] == ["network"]


@pytest.mark.parametrize(
    ("name", "digests", "found"),
    [
        ("postgres:17", ["mirror/postgres@sha256:1", "postgres@sha256:2"], "postgres@sha256:2"),
        ("registry:5000/team/pg", ["registry:5000/team/pg@sha256:3"], "registry:5000/team/pg@sha256:3"),
        ("renamed:1", ["postgres@sha256:4"], "postgres@sha256:4"),
        ("ccdr-sandbox/files:1", [], None),
    ],
)
def test_an_images_registry_digest_is_its_own_names_first(name: str, digests: list[str], found: str | None) -> None:
    assert _of_registry(name, digests) == found
