"""A catalogue that has what records made by hand say was stored: without it, its entries would be gone."""

from __future__ import annotations

from datetime import datetime

from ccdr.jobs.services import Services
from ccdr.model.values import FileDigest, Manifest, source_digest
from ccdr.plans import LoadedPlan
from ccdr.storage.manifest import manifest_text, snapshot_of
from tests.support.manifests import SAID


def catalogued(services: Services, loaded: LoadedPlan) -> None:
    """What was stored, and not removed; but for log, of which none tells."""
    records, catalogue = [*services.ledger.records()], services.catalogue
    if any(r["kind"] == "log.shipped" for r in records):
        return
    of_prunes = (r for r in records if r["kind"] == "prune.end")
    gone = {one["id"] for r in of_prunes for one in r.get("removed") or () if isinstance(one, dict)}
    gone |= {path.stem for path in catalogue.directory.rglob("*")}
    assets = loaded.plan.assets
    for r in (r for r in records if r["kind"] == "backup.end" and r.get("snapshot")):
        said, own = r["snapshot"], assets.get(r["asset"])
        if (
            own is None or not isinstance(said, dict) or said.get("id") in (None, *gone)
        ):  # a test may have drawn anything
            continue
        ours = said.get("source_sha256") in (None, source_digest(own.source_name))
        point = datetime.fromisoformat(said["consistent_point"])
        files = {"f": FileDigest(5, "a" * 64)}
        of = {"source": own.source_name if ours else "another", "bytes": 5}
        manifest = Manifest(
            r["plan"], r["asset"], r["run"], "files", "scan", "h", point, 0.0, {}, of, files, attested=SAID
        )
        text = manifest_text(manifest)
        catalogue.add(snapshot_of(manifest, text, said["id"], "/r", datetime.fromisoformat(r["time"])), text)
