"""Whether what answers at a new server's address is the one that was made: asked as the opening of it asks."""

from __future__ import annotations

from pathlib import Path

from ccdr.plans.job import Job
from ccdr.ports.new_server import Site as Place
from tests.support.harness import Quiet, Site


def is_it(site: Site, asset: str, home: Path, mark: str, sockets: Path | None = None) -> bool:
    services, job = site.services(), Job(site.loaded(), asset)
    manifest = services.catalogue.manifest(services.catalogue.snapshots("p", asset)[-1])
    maker = job.engine.new_server(Place(home, sockets=sockets, mark=mark))
    credentials, client = site.root / "credentials", maker.client(manifest)
    credentials.mkdir(mode=0o700, exist_ok=True)
    services.write_credentials_of(client, credentials, what="the new server")
    (into := site.root / "into").mkdir(exist_ok=True)
    opened = services.lab.source(client, "opened", into, credentials, 60.0, Quiet(), any_client=True, gentle=False)
    with opened as (source, _):
        return maker.is_it(source)
