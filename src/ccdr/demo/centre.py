"""The sample contact centre: a CRM with recordings, a dialler, queues and a switchboard, all at work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ccdr.demo.crm import Crm
from ccdr.demo.dialler import Dialler
from ccdr.demo.images import Images
from ccdr.demo.queues import Queues
from ccdr.demo.servers import Home
from ccdr.demo.switchboard import Switchboard
from ccdr.host.interrupts import side_by_side


class CentrePart(Protocol):
    """A part of the contact centre."""

    def at_work(self) -> AbstractContextManager[None]:
        """While the context lasts, and longer where it is to be kept."""

    def carry_on(self) -> None:
        """What happens between two backups: a few minutes of work."""


@dataclass(frozen=True)
class Centre:
    crm: Crm
    dialler: Dialler
    queues: Queues
    switchboard: Switchboard

    @property
    def parts(self) -> tuple[CentrePart, ...]:
        return (self.crm, self.dialler, self.queues, self.switchboard)

    def carry_on(self) -> None:
        side_by_side([part.carry_on for part in self.parts], len(self.parts))


@contextlib.contextmanager
def open_centre(home: Home, images: Images, password: str) -> Iterator[Centre]:
    """A contact centre at work, its parts begun side by side. `password` is that of the queues' backup user."""
    centre = Centre(
        crm=Crm(home, images.postgres),
        dialler=Dialler(home, images.mariadb),
        queues=Queues(home, images.redis, password),
        switchboard=Switchboard(home.directory / "switchboard"),
    )
    with contextlib.ExitStack() as running:

        def begin(part: CentrePart) -> None:
            running.enter_context(part.at_work())

        side_by_side([partial(begin, part) for part in centre.parts], len(centre.parts))
        yield centre
