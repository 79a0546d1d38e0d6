"""`ccdr recover check` of new MariaDB servers that nobody has started: opened for their checks, and left as they are."""

from __future__ import annotations

from pathlib import Path

from tests.support.harness import Ran, Site
from tests.support.new_server import as_it_is
from tests.support.stored import left


def statuses(done: Ran) -> dict[str, list[tuple[str, str]]]:
    return {step["asset"]: [(c["kind"], c["status"]) for c in step["checks"]] for step in done.json["steps"]}


def test_both_are_opened_and_damage_of_the_same_size_is_found(site: Site, tmp_path: Path) -> None:
    homes = {asset: tmp_path / asset for asset in ("crm", "whole")}
    lines = "".join(f"  {asset}: {{new_server: {{directory: {home}}}}}\n" for asset, home in homes.items())
    targets = site.write("targets.yaml", f"targets:\n{lines}")
    done = site.run("recover", "p", "--to", str(targets), "--yes-i-mean", "p", timeout=200)
    assert (done.code, done.json["state"]) == (0, "done"), done
    assert all(b"READY" in (home / "memory.sql").read_bytes() for home in homes.values()), "rows that memory alone had"
    before = {asset: as_it_is(home) for asset, home in homes.items()}
    done = site.run("recover", "check", "p")
    assert done.code == 0, done
    for asset, found in statuses(done).items():
        assert found[0] == ("server", "PASS") and set(found[1:]) == {
            ("identical", "SKIPPED"),
            ("integrity", "PASS"),
            ("rows", "PASS"),
        }, (asset, found)
    assert {asset: as_it_is(home) for asset, home in homes.items()} == before and left(site) == []

    table = homes["whole"] / "data/crm/customer.ibd"
    with table.open("r+b") as file:  # a page of rows: the first ones lead to it
        file.seek(3 * 16384 + 200)
        file.write(b"damaged!" * 20)
    done = site.run("recover", "check", "p")
    assert done.code == 1, done
    assert ("integrity", "FAIL") in statuses(done)["whole"] and "FAIL" not in str(statuses(done)["crm"]), done
