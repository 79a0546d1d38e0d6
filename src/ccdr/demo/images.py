"""The images that the sample contact centre's servers and their sandboxes run, found before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ccdr.engines.redis import client
from ccdr.engines.servers.methods import images as of_server
from ccdr.host.interrupts import side_by_side
from ccdr.model.errors import TestBroken
from ccdr.sandbox.docker import Docker, Image


@dataclass(frozen=True)
class Images:
    """`files` is what recordings are decoded in, and where a SQLite database is looked at."""

    postgres: Image
    mariadb: Image
    redis: Image
    files: Image


def find_images(docker: Docker) -> Images:
    """Of what is on this machine, or else pulled. TestBroken where Docker does not answer, or naming every image that
    cannot be had."""
    docker.check()
    wanted = {
        "postgres": of_server("postgres", "17"),
        "mariadb": of_server("mariadb", "11.8"),
        "redis": client.images("redis 8"),
        "files": ("ccdr-sandbox/files:1",),
    }
    missing: list[str] = []

    def find(candidates: Sequence[str]) -> Image | None:
        try:
            return docker.image(None, candidates)
        except TestBroken as error:
            missing.append(str(error))
            return None

    images = side_by_side([partial(find, candidates) for candidates in wanted.values()], len(wanted))
    if missing:
        raise TestBroken(
            "; ".join(sorted(missing)),
            hint="`make images` in ccdr's source tree builds them all from Debian packages (as root)",
        )
    return Images(**{name: image for name, image in zip(wanted, images, strict=True) if image is not None})
