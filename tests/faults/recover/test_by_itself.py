"""A plan that nothing calls `ccdr run` for: status and a recovery say so, as a note, until one has come."""

from __future__ import annotations

import json

from tests.support.harness import Site

NOTE, LINE = "p: no `ccdr run` has come by itself here yet", "> /etc/cron.d/ccdr-p"


def test_that_no_run_has_come_by_itself_is_said_until_one_has(centre: Site) -> None:
    first = centre.plainly("status", "p", "-v")
    assert NOTE in first.stdout and LINE in first.stdout, first
    assert json.loads(centre.plainly("status", "p", "--json").stdout)["plans"][0]["by_itself"] is False
    done = centre.plainly("recover", "p", "--under", str(centre.root / "back/1"), "--yes-i-mean", "p")
    assert done.returncode == 0 and LINE in done.stdout.splitlines()[-1], done
    (centre.state / "by-itself.json").write_text(json.dumps({"p": "2026-11-28T09:00:00.000000Z"}))
    later = centre.plainly("status", "p", "-v")
    assert json.loads(centre.plainly("status", "p", "--json").stdout)["plans"][0]["by_itself"] is True
    assert "by itself" not in later.stdout
    assert later.returncode == first.returncode, "it is a note, and no finding"
