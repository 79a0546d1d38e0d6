"""Opens the places where engines work: the source's client, and the sandbox of a restore test."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.host.processes import Host
from ccdr.model.errors import BackupFailed, TestBroken
from ccdr.model.values import human_bytes
from ccdr.ports.capture import ClientNeed, SourceFacts
from ccdr.ports.engine import Engine
from ccdr.ports.place import Place, Progress, Source
from ccdr.ports.restored import SandboxNeeds
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import BoxSpec, Disposal, Docker, Image

IN, OUT = "/ccdr/in", "/ccdr/out"
CLIENT_MEMORY = 2**30
# What the host must keep for itself when a sandbox's data goes into memory.
MEMORY_SPARED = 0.5


@dataclass(frozen=True)
class SandboxOrder:
    """What a sandbox is opened for: the run, the files that were fetched, and where it may write; how its data is held,
    how long nothing may move (seconds), and whether it is kept. `part` is whose it is, where a run has several. `home`
    is a directory of this host that takes the place of the engine's data directory, and stays. `outside` are further
    paths that the sandbox has, on a directory of this host, or (Docker's options for that) in memory."""

    run: str
    fetched: Path
    out: Path
    storage: str
    no_progress: float
    keep: bool = False
    part: str = ""
    home: Path | None = None
    outside: Mapping[str, Path | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lab:
    docker: Docker
    host: Host

    @contextlib.contextmanager
    def source(
        self,
        engine: Engine,
        run: str,
        into: Path,
        credentials: Path,
        no_progress: float,
        progress: Progress,
        *,
        any_client: bool = False,
        gentle: bool = True,
        part: str = "",
    ) -> Iterator[tuple[Source, SourceFacts]]:
        """The place where the client of the engine's server runs: this host where its major version fits, else the
        image; `into` is what a container of it may write. With `any_client` of whatever version: enough to ask the
        server something, not to capture it or to load into it. `part` is whose it is, where a run has several at a
        time."""
        growth = functools.partial(progress.amount, total=None)
        host = self.host.with_(gentle=gentle, no_progress=no_progress, on_growth=growth)
        need = engine.client(None)
        if need is None:
            source = Source(host, credentials)
            yield source, engine.probe(source)
            return
        major: str | None = None
        if need.on_host and any(host.which(program) for program in need.probes or need.programs[:1]):
            facts = engine.probe(Source(host, credentials))
            major = facts.major
            fitting = host if any_client else self._fitting_host(engine, host, major)
            if fitting is not None:
                yield Source(fitting, credentials), facts
                return
        for path in need.mounts:
            if not path.exists():
                raise TestBroken(
                    f"{path} is not there, and by it the source is reached",
                    hint="is the server running, and is its socket where the plan's `connection:` says?",
                )
        while True:
            with contextlib.ExitStack() as stack:
                with _for_want_of(need, major):
                    image = self.docker.image(engine.image, engine.image_candidates(major))
                    box = stack.enter_context(self._client(need, image, run, part, into, credentials, no_progress))
                box.on_growth = growth
                source = Source(box, credentials)
                facts = engine.probe(source)
                client = None if any_client else engine.client_major(box)
                if any_client or client == facts.major:
                    yield source, facts
                    return
            if engine.image is not None or major == facts.major:
                raise BackupFailed(
                    f"the server is version {facts.version}, the client in {image.name} is {client or 'missing'}",
                    hint=f"name an image of major version {facts.major} with `image:`",
                )
            major = facts.major  # asked by whatever client there was; captured by the one that fits

    @contextlib.contextmanager
    def _client(
        self, need: ClientNeed, image: Image, run: str, part: str, into: Path, credentials: Path, no_progress: float
    ) -> Iterator[Box]:
        """A container in which the source's client runs; BackupFailed where it is not gone afterwards."""
        spec = BoxSpec(
            image=image,
            run=f"{run}-client",
            part=part,
            mounts=(
                (into, str(into), True),
                (credentials, str(credentials), False),
                *((p, str(p), False) for p in need.mounts),
            ),
            memory=max(CLIENT_MEMORY, memory_available() // 2) if need.loads else CLIENT_MEMORY,
            network=need.network,
            capabilities=("DAC_READ_SEARCH",) if need.reads_all else (),
            no_progress=no_progress,
        )
        disposal = Disposal()
        with self.docker.open(spec, disposal) as box:
            yield box
        if not disposal.clean:
            raise BackupFailed("; ".join(disposal.problems), hint="`ccdr sandbox reap` removes it")

    @staticmethod
    def _fitting_host(engine: Engine, host: Host, major: str) -> Host | None:
        need = engine.client(major)
        assert need is not None
        fitting = host.with_(dirs=need.host_dirs)
        if not all(fitting.which(program) for program in need.programs):
            return None
        return fitting if engine.client_major(fitting) == major else None

    def image(self, engine: Engine, needs: SandboxNeeds) -> Image:
        """The image a test of this engine runs in; pulled now if it must be, outside the measured time."""
        return self.docker.image(engine.image, engine.image_candidates(needs.major))

    def major_in(self, engine: Engine, image: Image, run: str) -> str | None:
        """The major version that an image holds, asked of it in a container that is gone afterwards; TestBroken where
        it is not gone."""
        disposal = Disposal()
        with self.docker.open(BoxSpec(image=image, run=run, memory=CLIENT_MEMORY), disposal) as box:
            major = engine.client_major(box)
        if not disposal.clean:
            raise TestBroken("; ".join(disposal.problems), hint="`ccdr sandbox reap` removes it")
        return major

    @contextlib.contextmanager
    def sandbox(
        self,
        needs: SandboxNeeds,
        image: Image,
        order: SandboxOrder,
        disposal: Disposal,
    ) -> Iterator[Box]:
        """A sandbox with the fetched files mounted read-only (writable where its server runs on them) and `out`
        writable. How it is really shut off was observed: what `differs` from what was asked for is the caller's to
        judge."""
        order.out.chmod(0o777)  # the sandbox's user is not ours; the run's directory above it is 0700
        in_place = order.home is None and self.in_place(needs, order.storage)
        mounts = [(order.fetched, IN, in_place), (order.out, OUT, True)]
        if order.home is not None:
            assert needs.data_dir is not None
            mounts.append((order.home, needs.data_dir, True))
        mounts += [(place, path, True) for path, place in order.outside.items() if isinstance(place, Path)]
        spec = BoxSpec(
            image=image,
            run=order.run,
            part=order.part,
            user=needs.user,
            mounts=tuple(mounts),
            data_dir=None if in_place or order.home is not None else needs.data_dir,
            data_bytes=needs.bytes,
            data_on_disk=self.on_disk(needs, order.storage) or in_place,
            memory=needs.memory,
            outside=tuple(order.outside),
            tmpfs={path: options for path, options in order.outside.items() if isinstance(options, str)},
            no_progress=order.no_progress,
        )
        with self.docker.open(spec, disposal, keep=order.keep) as box:
            self.docker.observe(box)
            yield box

    @staticmethod
    def in_place(needs: SandboxNeeds, storage: str) -> bool:
        """Whether the server runs on the fetched files: where nobody wants them in memory, and root gives them away."""
        return bool(needs.in_place) and storage != "memory" and os.geteuid() == 0

    @staticmethod
    def on_disk(needs: SandboxNeeds, storage: str) -> bool:
        """Data goes into memory where it fits beside everything else; TestBroken where there is no room."""
        free = memory_available()
        if needs.memory // 4 > free or needs.held > free * MEMORY_SPARED:
            raise TestBroken(
                f"this host has {human_bytes(free)} of memory free, the sandbox may need {human_bytes(needs.memory)}",
                hint="free memory, or give the asset less with `memory:`"
                if not needs.held
                else "this server holds all of its data in memory: test on a host that has twice as much free",
            )
        fits = needs.bytes + needs.memory <= free * MEMORY_SPARED
        if storage == "memory" and not fits:
            raise TestBroken(
                f"the data may take {human_bytes(needs.bytes)}, this host has {human_bytes(free)} of memory free",
                hint="use `storage: auto` or `storage: disk`",
            )
        return bool(needs.data_dir) and (storage == "disk" or not fits)


@contextlib.contextmanager
def _for_want_of(need: ClientNeed, major: str | None) -> Iterator[None]:
    """A container that cannot be had is told with why it is needed at all."""
    try:
        yield
    except TestBroken as error:
        program = need.programs[0] + (f" of version {major}" if major else "")
        here = f"install {program} on this host"
        raise TestBroken(
            f"this host has no {program}, so that a container must run it: {error}",
            hint=f"{error.hint}; or {here}" if error.hint else here,
        ) from None


def room_for(path: Path, needed: int) -> None:
    """TestBroken where the file system of `path` has less than `needed` bytes free."""
    free = shutil.disk_usage(path).free
    if free < needed:
        raise TestBroken(
            f"{path} has {human_bytes(free)} free, the test needs {human_bytes(needed)}",
            hint="free space there, or name another place with --state",
        )


def memory_available() -> int:
    """Bytes that the kernel can give without swapping."""
    for line in Path("/proc/meminfo").read_text("ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def readable_inside(host: Place, tree: Path) -> None:
    """Let the sandbox's user read a fetched tree; whoever else could is kept out by the run's directory."""
    host.run(["chmod", "-R", "a+rX", "--", str(tree)])


def given_inside(host: Place, box: Place, out: Path, paths: Sequence[Path]) -> None:
    """Give these to the sandbox's user, whoever that is on this host: a file that it makes in `out` tells."""
    mine = out / "owner"
    box.run(["touch", box.path(mine)])
    status = mine.stat()
    there = [str(path) for path in paths if path.exists()]
    host.run(
        ["chown", "-R", "-h", f"{status.st_uid}:{status.st_gid}", "--", *there], what="giving files to the sandbox"
    )


def made_below(root: Path, outside: Mapping[str, str]) -> dict[str, Path | str]:
    """For each of these paths its directory below `root`, which is made there."""
    for directory in outside.values():
        (root / directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    return {path: root / directory for path, directory in outside.items()}
