"""Builds the real objects."""

from __future__ import annotations

import socket
from pathlib import Path

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.comparison import beginning
from ccdr.host.clock import SystemClock
from ccdr.host.processes import Host
from ccdr.jobs.services import Services
from ccdr.sandbox.docker import Docker
from ccdr.sandbox.lab import Lab
from ccdr.setup.migrate import opened
from ccdr.storage.catalogue import Catalogue


def services(state_dir: Path) -> Services:
    """Everything a use-case needs, for one state directory. Nothing is created or contacted yet; state of an older
    ccdr is brought to our format, and state of a newer one is a CcdrError."""
    clock, host = SystemClock(), Host()
    state = opened(state_dir.absolute(), clock)
    begin = beginning(state, socket.gethostname())
    return Services(
        clock=clock,
        state=state,
        ledger=Ledger(state.ledger, clock, begin=begin),
        catalogue=Catalogue(state.root / "catalogue"),
        lab=Lab(Docker(clock, state.id), host),
        host=host,
    )
