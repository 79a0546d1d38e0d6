"""Five stores are lost in one moment, with the host that ran ccdr; bucket and key bring them back."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from tests.support.harness import Site
from tests.support.whole_centre import wait_for, whole_centre


def test_back(tmp_path: Path) -> None:
    site = Site(tmp_path / "site") if (tmp_path / "site").mkdir() is None else None
    with whole_centre(tmp_path / "centre", site) as centre:
        with centre.at_work():
            time.sleep(2)
            moment = datetime.now(UTC)
            wait_for(moment, 3)
        centre.ship_once()
        told = centre.lists(moment)
        print(len(told[0]), len(told[1]), len(centre.later(moment)[0]), len(centre.later(moment)[1]))
        centre.lose()
    raise SystemExit
