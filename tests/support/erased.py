"""Registers of erasures, as a data protection officer fills them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.support.harness import Ran, Site

WHY = "the DPO agreed by telephone, OPS-17"


def added(site: Site, *selectors: str, plan: str = "p") -> None:
    for selector in selectors:
        name = site.write("selector.yaml", selector, mode=0o600)
        done = site.run("erasure", "add", plan, "--selector", str(name))
        assert done.code == 0, done
        name.unlink()


def glass(site: Site, again: Callable[..., Ran]) -> None:
    """Handed over by whoever breaks the glass, it is red until somebody has reviewed it; the reason is in no record."""
    done = again("--despite-erasures", WHY)
    assert done.code == 1 and done.json["result"] == "RESTORED", done
    replay = site.records("erasure.replay")[-1]
    assert (replay["result"], replay["handed_over"]) == ("FAILED", True)
    assert WHY not in str(site.records())
    status = site.run("status", "p")
    assert status.code == 1 and "ERASED_RETURNED" in status.stdout, status
    assert site.run("ack", "ERASED_RETURNED", "p", "--until", "7d", "--why", "later").code == 2
    assert site.run("erasure", "review", "p", "--why", "erased by hand").code == 0
    assert "ERASED_RETURNED" not in site.run("status", "p").stdout


def of_its_own(site: Site, repo: Path) -> Site:
    """With a repository of its own, as the one that it shares with others is now: a register is written there."""
    shutil.copytree(repo, site.root / "own")
    plan = site.root / "plans/p.yaml"
    plan.write_text(plan.read_text("utf-8").replace(str(repo), str(site.root / "own")), "utf-8")
    return site
