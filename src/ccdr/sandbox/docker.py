"""Makes sandboxes and client containers, and proves that they are gone. The only room that imports docker.

A container's first process reads standard input, which ccdr holds open: when ccdr dies, by whatever signal,
the kernel closes it, the container ends and Docker removes it. Labels find what even that leaves.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccdr.model.errors import TestBroken
from ccdr.model.values import rfc3339, utc
from ccdr.ports.place import Clock
from ccdr.sandbox import isolation
from ccdr.sandbox.box import Box
from ccdr.sandbox.frames import close_socket
from ccdr.sandbox.words import denied, reason_of

if TYPE_CHECKING:
    import docker

RUN, EXPIRES, STATE = "ccdr.run", "ccdr.expires", "ccdr.state"
LIFETIME = timedelta(hours=24)
KEPT_LIFETIME = timedelta(hours=4)
SHM = 256 * 2**20  # Docker's 64 MiB of /dev/shm makes parallel joins fail
LOOK_WITHIN = 10  # seconds that a mere look at the daemon may take
_LIMITS = {"MemoryLimit": "memory", "SwapLimit": "swap", "PidsLimit": "processes"}
NOT_AS_ASKED = "`docker info` says which daemon answers, and its plugins: none of them may change what it is asked for"
ENDED = ("exited", "dead")  # a container's status; one that was just made is about to be started
GONE_WITHIN = 30.0  # seconds that Docker may take to remove a container


@dataclass(frozen=True)
class Image:
    name: str
    id: str  # sha256 digest of its configuration, which pins every layer
    volumes: tuple[str, ...]  # paths for which Docker would make anonymous volumes
    registry_digest: str | None = None  # NAME@sha256:… by which a registry knows it; None for one that was made here
    created: datetime | None = None  # when it was made; None where it does not say


@dataclass(frozen=True)
class DockerFacts:
    """`storage` is the driver, `root` the daemon's own directory on its host, `unlimited` what it cannot limit."""

    version: str
    storage: str
    root: Path
    unlimited: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoxSpec:
    """One container to be made. `mounts` are (host path, path inside, writable)."""

    image: Image
    run: str
    user: str | None = None
    mounts: tuple[tuple[Path, str, bool], ...] = ()
    data_dir: str | None = None  # where the engine keeps its data
    data_bytes: int = 0
    data_on_disk: bool = False
    memory: int = 2**30  # bytes, beside the data and /dev/shm
    network: bool = False
    capabilities: tuple[str, ...] = ()
    no_progress: float = 600.0
    outside: tuple[str, ...] = ()  # paths of a source's that it has besides, among `mounts` and `tmpfs`
    tmpfs: Mapping[str, str] = field(default_factory=dict)  # more of it: path and options
    part: str = ""  # tells containers of the same run apart

    @property
    def name(self) -> str:
        return f"ccdr-{self.run}-{self.part}" if self.part else f"ccdr-{self.run}"


@dataclass
class Disposal:
    """Whether everything of a sandbox is gone; filled in when its context ends."""

    problems: list[str] = field(default_factory=list)
    done: bool = False
    kept: bool = False

    @property
    def clean(self) -> bool:
        return self.done and not self.problems


@contextlib.contextmanager
def _answering(what: str) -> Iterator[None]:
    """A daemon that answers, and does not do what it is asked for, in words."""
    import docker

    try:
        yield
    except (docker.errors.DockerException, OSError) as error:
        hint = "see `docker info` and the daemon's log (`journalctl -u docker`)"
        raise TestBroken(f"Docker does not {what}: {reason_of(error)}", hint=hint) from None


class Docker:
    """The Docker daemon that runs our sandboxes. `state` marks which ccdr installation made a container."""

    def __init__(self, clock: Clock, state: str) -> None:
        self._clock, self.state = clock, state

    @cached_property
    def _client(self) -> docker.DockerClient:
        return self._connected(timeout=120)

    @staticmethod
    def _connected(timeout: int) -> docker.DockerClient:
        import docker

        try:
            client = docker.from_env(timeout=timeout)
            client.ping()
        except (docker.errors.DockerException, OSError) as error:
            where = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
            start = "start it (`systemctl start docker`, or `make system` where no init system runs)"
            may = "let this user use it (`usermod -aG docker USER`; it is then as good as root), or run ccdr as root"
            hint = may if denied(error) else start
            raise TestBroken(f"Docker does not answer at {where}: {reason_of(error)}", hint=hint) from None
        return client

    @staticmethod
    def load() -> None:
        """Read Docker's client, which takes a tenth of a second, while something else is waited for."""
        threading.Thread(target=import_module, args=("docker",)).start()

    def check(self) -> None:
        """Raises TestBroken when Docker does not answer."""
        _ = self._client

    def facts(self) -> DockerFacts:
        """A short look at the daemon; TestBroken when it does not answer in time."""
        client = self._connected(timeout=LOOK_WITHIN)
        try:
            with _answering("tell of itself"):
                info: dict[str, Any] = client.info()
        finally:
            client.close()
        return DockerFacts(
            version=str(info.get("ServerVersion")),
            storage=str(info.get("Driver")),
            root=Path(str(info.get("DockerRootDir"))),
            unlimited=tuple(name for key, name in _LIMITS.items() if info.get(key) is False),
        )

    def find(self, named: str | None, candidates: Sequence[str]) -> Image | None:
        """As `image`, of what is on this host already."""
        return next((image for n in ((named,) if named else candidates) if (image := self._local(n))), None)

    def image(self, named: str | None, candidates: Sequence[str]) -> Image:
        """The named image, or the first candidate there is; pulled where none is local. Never a replacement
        for a named one. Raises TestBroken, naming what is missing."""
        wanted = (named,) if named else tuple(candidates)
        if not wanted:
            raise TestBroken("no image is named and the engine knows none", hint="name one with `image:`")
        return self.find(named, candidates) or self._pulled(wanted[0], wanted)

    def _local(self, name: str) -> Image | None:
        import docker

        with _answering(f"tell of the image {name}"), contextlib.suppress(docker.errors.ImageNotFound):
            image = self._client.images.get(name)
            config = image.attrs.get("Config") or {}
            digests = image.attrs.get("RepoDigests") or ()
            volumes, made = tuple(config.get("Volumes") or ()), _made(image.attrs.get("Created"))
            return Image(name, str(image.id), volumes, _of_registry(name, digests), made)
        return None

    def _pulled(self, name: str, wanted: Sequence[str]) -> Image:
        import docker

        try:
            self._client.images.pull(*name.rsplit(":", 1) if ":" in name.rsplit("/", 1)[-1] else (name,))
            if (local := self._local(name)) is not None:
                return local
            problem = "it is not there after the pull"
        except (docker.errors.DockerException, OSError) as error:
            problem = reason_of(error)
        raise TestBroken(
            f"the image is missing: {' or '.join(wanted)} is not on this host, and pulling {name} failed: {problem}",
            hint=f"run `docker pull {name}` where a registry can be reached, or `make images`",
        )

    @contextlib.contextmanager
    def open(self, spec: BoxSpec, disposal: Disposal, *, keep: bool = False) -> Iterator[Box]:
        """A running container; on leaving, it and its data are removed, and `disposal` tells whether they are."""
        import docker

        name = spec.name
        volume = name if spec.data_on_disk and spec.data_dir else None
        holder: Any = None
        box: Box | None = None
        try:
            try:
                if volume:
                    self._client.volumes.create(volume, labels=self._labels(spec.run))
                api: Any = self._client.api
                config = self._config(spec, volume)
                container = api.create_container_from_config(config, name)
                holder = api.attach_socket(container["Id"], {"stdin": 1, "stream": 1})
                api.start(container["Id"])
            except (docker.errors.DockerException, OSError) as error:
                whom = f", as {spec.user}" if spec.user else ""
                raise TestBroken(
                    f"the sandbox did not start from {spec.image.name}{whom}: {reason_of(error)}",
                    hint="see `docker info`; the image must hold a shell and the server's own user",
                ) from None
            box = self._box(spec, container["Id"], isolation.asked(config))
            box.keep = keep
            yield box
            if box.keep and box.running():
                box.run(["touch", "/tmp/ccdr-keep"])  # noqa: S108 - inside the sandbox
                disposal.kept = True
        finally:
            if box is not None:
                box.close()
            if holder is not None:
                close_socket(holder)
            if not disposal.kept:
                disposal.problems += self._remove(name, volume)
                disposal.done = True

    def observe(self, box: Box) -> None:
        """See how it is really shut off, and note where that is not as it was asked for. Costs a millisecond or two.
        TestBroken where the daemon does not tell."""
        with _answering("tell of the sandbox that it has started"):
            there = isolation.observed(self._client.api.inspect_container(box.id))
            differs = isolation.differences(box.asked, there)
            cannot = self._cannot_limit({d.fact for d in differs})
        box.differs = tuple(d for d in differs if d.fact not in cannot)
        there["mounts"] = isolation.unnamed(there["mounts"], box.outside)
        box.facts = {**there, **box.facts, "unlimited": sorted(cannot)}

    def _cannot_limit(self, facts: set[str]) -> set[str]:
        """Which of these the kernel cannot limit: `ccdr doctor` warns of that, and nobody has changed anything."""
        if not (limits := facts & isolation.LIMITS.keys()):
            return set()
        info: dict[str, Any] = self._client.api.info()
        return {fact for fact in limits if info.get(isolation.LIMITS[fact]) is False}

    def _box(self, spec: BoxSpec, container: str, asked: isolation.Facts) -> Box:
        return Box(
            api=self._client.api,
            id=container,
            image_name=spec.image.name,
            mounts={host: inside for host, inside, _ in spec.mounts},
            asked=asked,
            outside=spec.outside,
            facts={
                "registry_digest": spec.image.registry_digest,
                "image_created": spec.image.created,
                "memory": spec.memory,
                "storage": "disk" if spec.data_on_disk else "memory",
            },
            no_progress=spec.no_progress,
            memory=spec.memory,
            keeps_shells=True,
        )

    def _labels(self, run: str) -> dict[str, str]:
        return {RUN: run, EXPIRES: rfc3339(self._clock.now() + LIFETIME), STATE: self.state}

    def _config(self, spec: BoxSpec, volume: str | None) -> dict[str, Any]:
        from docker.types import LogConfig, Mount, Ulimit

        api = self._client.api
        tmpfs = {"/tmp": "size=256m,mode=1777", "/ccdr/run": "size=16m,mode=1777"}  # noqa: S108
        tmpfs |= {path: "size=1m" for path in spec.image.volumes if path != spec.data_dir}
        tmpfs |= spec.tmpfs
        mounts = [
            Mount(inside, str(host), type="bind", read_only=not writable) for host, inside, writable in spec.mounts
        ]
        if spec.data_dir and volume:
            mounts.append(Mount(spec.data_dir, volume, type="volume"))
        elif spec.data_dir:
            tmpfs[spec.data_dir] = f"size={spec.data_bytes},mode=1777"
        # Pages of a tmpfs count as the container's memory.
        memory = spec.memory + SHM + (spec.data_bytes if spec.data_dir and not volume else 0)
        host_config = api.create_host_config(
            network_mode="host" if spec.network else "none",
            read_only=True,
            cap_drop=["ALL"],
            cap_add=list(spec.capabilities),
            security_opt=["no-new-privileges"],
            pids_limit=512,
            mem_limit=memory,
            memswap_limit=memory,
            ulimits=[Ulimit(name="core", soft=0, hard=0)],
            log_config=LogConfig(type="none"),
            shm_size=SHM,
            tmpfs=tmpfs,
            mounts=mounts,
            auto_remove=True,
        )
        kept = int(KEPT_LIFETIME.total_seconds())
        hold = f"cat > /dev/null; if [ -e /tmp/ccdr-keep ]; then exec sleep {kept}; fi"
        config: dict[str, Any] = api.create_container_config(
            spec.image.id,
            ["sh", "-c", hold],
            entrypoint=[],
            user=spec.user or f"{os.getuid()}:{os.getgid()}",
            stdin_open=True,
            labels=self._labels(spec.run),
            host_config=host_config,
            environment={"HOME": "/tmp"},  # noqa: S108
        )
        config["StdinOnce"] = True
        return config

    def _remove(self, name: str, volume: str | None) -> list[str]:
        """Remove a container and its volume; returns what could not be removed."""
        import docker

        problems = []
        deadline = time.monotonic() + GONE_WITHIN
        while True:
            try:
                self._client.api.remove_container(name, force=True, v=True)
            except docker.errors.NotFound:
                break
            except (docker.errors.DockerException, OSError) as error:
                # 409: its own removal is under way
                if time.monotonic() > deadline:
                    problems.append(f"container {name} is still there: {reason_of(error)}")
                    break
            time.sleep(0.02)
        return [*problems, *self._remove_volume(volume)] if volume else problems

    def _remove_volume(self, name: str) -> list[str]:
        """As `_remove`."""
        import docker

        try:
            self._client.volumes.get(name).remove(force=True)
        except docker.errors.NotFound:
            return []
        except (docker.errors.DockerException, OSError) as error:
            return [f"volume {name} is still there: {reason_of(error)}"]
        return []

    def leftovers(self) -> list[Leftover]:
        """Containers and volumes that carry our run label, ours and other installations'."""
        ours: dict[str, str | list[str] | bool] = {"label": RUN}
        with _answering("list containers and volumes"):
            # Volumes first: one that is made meanwhile is not seen without its container.
            volumes = self._client.volumes.list(filters=ours)
            containers = self._client.containers.list(all=True, filters=ours, ignore_removed=True)
        mounted = {mount.get("Name") for c in containers for mount in c.attrs.get("Mounts") or ()}
        leftovers = [Leftover("container", str(c.name), c.labels, ended=c.status in ENDED) for c in containers]
        leftovers += [
            Leftover("volume", str(v.name), v.attrs.get("Labels") or {}, ended=v.name not in mounted) for v in volumes
        ]
        return leftovers

    def now(self) -> datetime | None:
        """By the clock of the daemon's host, which every installation there shares; None where it does not say."""
        with _answering("tell the time"):
            info: dict[str, Any] = self._client.info()
        with contextlib.suppress(ValueError):
            return utc(str(info.get("SystemTime")))
        return None

    def remove(self, leftover: Leftover) -> list[str]:
        """Remove one leftover; returns what could not be removed."""
        return self._remove_volume(leftover.name) if leftover.kind == "volume" else self._remove(leftover.name, None)


def _made(said: object) -> datetime | None:
    """When an image was made, as Docker tells it; None for what is no such time, or before there was Docker."""
    with contextlib.suppress(ValueError, OverflowError):
        made = utc(str(said))
        return made if made.year > 2000 else None
    return None


def _of_registry(name: str, digests: Sequence[str]) -> str | None:
    """An image may be known under several names: its own first."""
    own = name.rsplit(":", 1)[0] if ":" in name.rsplit("/", 1)[-1] else name.partition("@")[0]
    return next((d for d in digests if d.partition("@")[0] == own), next(iter(digests), None))


@dataclass(frozen=True)
class Leftover:
    """Something labelled with a run of ours that Docker still has. `ended`: nothing runs in it, nor will."""

    kind: str
    name: str
    labels: dict[str, str]
    ended: bool

    @property
    def run(self) -> str:
        return self.labels.get(RUN, "")

    def expired(self, now: datetime) -> bool:
        """An unreadable expiry is not expired: what we cannot read is not ours to remove."""
        try:
            return utc(self.labels.get(EXPIRES, "")) < now
        except ValueError:
            return False

    def of(self, state: str) -> bool:
        return self.labels.get(STATE) == state
