"""A package of a ledger that an authority anchors: its tokens lie in it, and prove by the authority's certificate."""

from __future__ import annotations

import datetime
from pathlib import Path

from tests.faults.anchors.conftest import Anchored
from tests.support.packages import sealed


def by_tsa(anchored: Anchored, package: Path) -> tuple[int, str | None, list[str]]:
    return anchored.verify(str(package), "--pin", anchored.pin, "--tsa", str(anchored.tsa.authority.ca))


def test_a_package_is_verified_by_a_pin_and_an_authoritys_token(anchored: Anchored, tmp_path: Path) -> None:
    anchored.configured(anchored.by_tsa())
    assert anchored.checkpoint().code == 0
    anchored.works()
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert anchored.site.run("ledger", "export", str(whole)).code in (0, 1)
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    assert anchored.site.run("ledger", "export", str(part), "--from", today).code in (0, 1)
    for package, says in ((whole, "verified"), (part, "verified of what is shown")):
        assert anchored.verify(str(package), "--pin", anchored.pin) == (3, "internally consistent", [])
        assert by_tsa(anchored, package) == (0, says, [])


def test_a_token_that_is_gone_from_a_package_is_missed(anchored: Anchored, tmp_path: Path) -> None:
    anchored.configured(anchored.by_tsa())
    assert anchored.checkpoint().code == 0
    package = tmp_path / "package"
    assert anchored.site.run("ledger", "export", str(package)).code in (0, 1)
    for token in package.glob("data/checkpoints/*/anchors/*.tsr"):
        token.unlink()
    sealed(package)
    code, _, findings = by_tsa(anchored, package)
    assert code == 1 and "ANCHOR_MISSING" in findings
