"""The sample contact centre's servers: each in a container of its own, reached by a Unix socket alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ccdr.model.errors import UsageProblem
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import BoxSpec, Disposal, Docker, Image

SOCKETS = "/ccdr/sockets"  # in the container
LONGEST_SOCKET = 107  # bytes of a Unix socket's path


@dataclass(frozen=True)
class Home:
    """Where the servers live. `run` begins their containers' names, `keep` has them outlive this process."""

    docker: Docker
    directory: Path
    run: str
    keep: bool

    def sockets(self, name: str, file: str) -> Path:
        """The directory of a server's socket; UsageProblem where the socket's path would be too long."""
        path = self.directory / "run" / name
        if len(os.fsencode(path / file)) > LONGEST_SOCKET:
            raise UsageProblem(
                f"{path / file} is too long a path for a Unix socket",
                hint="call `ccdr demo` from a directory higher up",
            )
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)  # the server's user is not ours
        return path

    @contextlib.contextmanager
    def container(
        self, name: str, image: Image, user: str, sockets: Path, *, data_dir: str | None = None, data_bytes: int = 0
    ) -> Iterator[Box]:
        """It ends with the context, or with ccdr, unless it is to be kept."""
        spec = BoxSpec(
            image=image,
            run=f"{self.run}-{name}",
            user=user,
            mounts=((sockets, SOCKETS, True),),
            data_dir=data_dir,
            data_bytes=data_bytes,
            memory=2**30,
        )
        with self.docker.open(spec, Disposal(), keep=self.keep) as box:
            yield box
