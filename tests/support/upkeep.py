"""A repository that is looked after: what is known, what is there, and what a prune and a check make of it."""

from __future__ import annotations

import json
from datetime import timedelta

from ccdr.jobs.upkeep import Prune, prune
from tests.support.harness import Quiet, ShiftedClock, Site
from tests.support.records import record_in
from tests.support.stored import LIMITS, restic_of

KEEP_ONE = f"retention: {{keep_last: 1}}\nupkeep: {{parts: 4}}\n{LIMITS}\n"


def retention(site: Site, rules: str, parts: int = 4) -> None:
    path = site.root / "plans" / "p.yaml"
    lines = path.read_text().splitlines(keepends=True)
    lines = [f"retention: {{{rules}}}\n" if n.startswith("retention:") else n for n in lines]
    path.write_text("".join(f"upkeep: {{parts: {parts}}}\n" if n.startswith("upkeep:") else n for n in lines))


def known(site: Site, asset: str = "recordings") -> list[str]:
    return [s.id for s in site.services().catalogue.snapshots("p", asset)]


def there(site: Site, kind: str = "backup") -> list[str]:
    """In the repository, whatever ccdr says of it; oldest first."""
    listed = json.loads(restic_of(site.root, "snapshots", "--json", "--no-lock") or "[]") or []
    return [s["id"] for s in listed if f"kind={kind}" in (s.get("tags") or ())]


def pruned(site: Site, shift: timedelta = timedelta(0)) -> Prune:
    return prune(site.loaded(), site.services(ShiftedClock(shift)), Quiet())


def asked(site: Site, *verbs: str) -> None:
    """What runs there are for."""
    body = {"verbs": list(verbs), "gained": list(verbs), "lost": [], "reason": None}
    record_in(site.services().ledger, "duties", plan="p", asset=None, run=None, body=body)
