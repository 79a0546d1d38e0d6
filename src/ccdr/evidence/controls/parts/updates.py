"""Updates and patches: the versions that records tell of, against what is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.sandboxes import sandboxes_of
from ccdr.evidence.controls.parts.shared import CONTRADICTED, EXPIRED, NOTHING, SHOWN
from ccdr.evidence.controls.values import Observed, behind
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.verdicts import Record
from ccdr.model.values import to_the_second, utc

_PROGRAMS = ("ccdr", "restic")  # of these, and of the engine, a floor is to be set
SOURCE = "source"  # what records call the server, or program, that was captured
_NO_PROGRAM = ("files",)  # its "version" is a format's
_ASK = "name them in floors.yaml; `ccdr controls --print floors` prints what is in force"
_RAISE = "update it, or set another floor in floors.yaml; `ccdr controls --print floors` prints what is in force"


def versions(known: Known) -> Iterator[Observed]:
    """Each asset's newest backup and test: which versions took part?"""
    for plan, asset in known.assets:
        yield _versions(known, plan, asset)


def _versions(known: Known, plan: PlanKnown, asset: AssetStatus) -> Observed:
    history, engine = known.history(plan.name, asset.asset), plan.loaded.plan.assets[asset.asset].engine_name
    records = [r for r in (history.last_good_backup, history.last_conclusive_test) if r is not None and r.get("tools")]
    told = {name: (version, record) for record in records for name, version in _named(record, engine)}
    where, floors = (plan.name, asset.asset), known.floors
    if not told:
        return Observed(NOTHING, "no record tells of versions", *where, step=f"ccdr backup {plan.name}")
    shown = ", ".join(f"{name} {version}" for name, (version, _) in sorted(told.items()))
    for name, (version, record) in sorted(told.items()):
        if floor := floors.below(name, version):
            text = f"{name} {version} is below {floor}, which is asked for"
            return Observed(CONTRADICTED, text, *where, behind(record), _RAISE)
    oldest = min(utc(record["time"]) for record in records)
    if known.now - oldest > timedelta(seconds=floors.ages.versions):
        text = f"what versions there are was last recorded on {to_the_second(str(min(r['time'] for r in records)))}"
        return Observed(EXPIRED, text, *where, behind(*records))
    if unasked := [name for name in (*_PROGRAMS, engine) if name in told and not floors.versions.get(name)]:
        text = f"nothing is asked of {', '.join(unasked)} in floors.yaml: any version is well"
        return Observed(NOTHING, text, *where, behind(*records), _ASK)
    asked = [*_PROGRAMS, *(() if engine in _NO_PROGRAM else (engine,))]
    if untold := [name for name in asked if name not in told]:
        text = f"no record tells which version of {', '.join(untold)} took part ({shown})"
        return Observed(NOTHING, text, *where, behind(*records), f"ccdr backup {where[0]}; ccdr test {where[0]}")
    if less := [known.lowered[name] for name in sorted(told) if name in known.lowered]:
        text = f"floors.yaml asks for less than ccdr's own: {', '.join(less)}"
        return Observed(NOTHING, text, *where, behind(*records), _RAISE)
    return Observed(SHOWN, shown, *where, behind(*records))


def _named(record: Record, engine: str) -> Iterator[tuple[str, str]]:
    """By program; the source by its engine."""
    for name, version in record["tools"].items():
        if name != SOURCE:
            yield str(name), str(version)
        elif engine not in _NO_PROGRAM:
            yield engine, str(version)


def images(known: Known) -> Iterator[Observed]:
    """Each asset's newest test: how old was the oldest image that its sandbox, or one beside it, ran?"""
    limit = timedelta(seconds=known.floors.ages.image)
    for plan, asset in known.assets:
        test, where = known.history(plan.name, asset.asset).last_conclusive_test, (plan.name, asset.asset)
        boxes = sandboxes_of(test)
        if test is not None and not boxes and test["verdict"] == "PASS":
            yield Observed(SHOWN, "its restore test needed no sandbox, and no image", *where, behind(test))
            continue
        if not boxes or any(box.get("image_created") is None for box in boxes):
            yield Observed(NOTHING, "no restore test tells how old its image was", *where, behind(test))
            continue
        made = {str(box["image_created"]): str(box["image"]) for box in boxes}
        oldest, newest = min(made, key=utc), max(made, key=utc)
        if utc(newest) > known.now:
            text = f"the image {made[newest]} says that it was made in the future"
            yield Observed(CONTRADICTED, text, *where, behind(test))
        elif known.now - utc(oldest) > limit:
            text = f"the image {made[oldest]} was made on {to_the_second(oldest)}: older than {limit.days} days"
            yield Observed(
                EXPIRED, text, *where, behind(test), "make or pull it anew: `make images FRESH=1`, `docker pull`"
            )
        else:
            text = f"the image {made[oldest]} was made on {to_the_second(oldest)}"
            yield Observed(SHOWN, text, *where, behind(test))
