"""What `ccdr doctor` says of a real site, line by line."""

from __future__ import annotations

from typing import Any

from tests.support.harness import PASSWORD, Ran, Site


def lines(done: Ran) -> dict[tuple[str, str | None], dict[str, Any]]:
    """By what was looked at and asset: the worst line of each."""
    order = ["OK", "WARN", "UNKNOWN", "FAIL"]
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for line in done.json["checks"]:
        assert set(line) == {"plan", "asset", "what", "state", "found", "do"}
        assert line["state"] in order and line["found"]
        assert (line["do"] is None) == (line["state"] == "OK"), "every other line says what to do"
        key = (line["what"], line["asset"])
        if key not in found or order.index(found[key]["state"]) < order.index(line["state"]):
            found[key] = line
    assert PASSWORD not in done.stdout + done.stderr
    return found


def state_of(done: Ran, what: str, asset: str | None = None) -> str:
    found = lines(done)
    assert (what, asset) in found, (what, asset, str(done))
    return str(found[what, asset]["state"])


def an_rpo_that_can_be_met(site: Site) -> Site:
    """Hourly backups cannot keep an RPO of an hour: each takes its time."""
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("rpo: 1h", "rpo: 2h"))
    return site
