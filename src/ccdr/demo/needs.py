"""What the demo needs of this machine: looked at before anything is started, and all that lacks told at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from ccdr.demo import store
from ccdr.demo.images import Images, find_images
from ccdr.model.errors import CcdrError, TestBroken
from ccdr.sandbox.docker import Docker


def find_needs(docker: Docker) -> Images:
    """The images that it runs. TestBroken that names each thing that lacks, with a next step for each."""
    images: list[Images] = []
    searches: tuple[Callable[[], object], ...] = (_restic, store.program, lambda: images.append(find_images(docker)))
    lacking: list[CcdrError] = []
    for search in searches:
        try:
            search()
        except CcdrError as error:
            lacking.append(error)
    if lacking:
        hints = dict.fromkeys(error.hint for error in lacking if error.hint)
        raise TestBroken("the demo cannot start: " + "; ".join(map(str, lacking)), hint="; ".join(hints))
    return images[0]


def _restic() -> None:
    if shutil.which("restic") is None:
        raise CcdrError("restic is not installed", hint="apt-get install restic")
