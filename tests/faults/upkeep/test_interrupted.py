"""A prune that is interrupted is recorded, and finished by the next one."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from tests.support.harness import Site, eventually, killed
from tests.support.stored import assert_clean, restic_of
from tests.support.upkeep import known, there

from ccdr.storage.removals import PRUNED


@pytest.mark.parametrize("step", ["asking", "removing 3", "forgotten", "removing data", "pruning"])
def test_a_killed_prune_is_finished_by_the_next_one(site: Site, step: str) -> None:
    """SIGKILL at each step: no snapshot is lost that was to stay, none is called vanished, and no lock stays."""
    last, slow = known(site)[-1], site.root / "slow"
    # `forgotten` and `pruning`: killed after restic has begun that step, before ccdr has noted anything.
    hang = {"forgotten": 'case " $* " in *" forget "*) "$R" "$@"; touch "$S"; exec sleep 60;; esac',
            "pruning": 'case " $* " in *" prune "*) (sleep 0.3; touch "$S") & exec "$R" "$@";; esac'}.get(step, "")  # fmt: skip
    site.write("bin/restic", f'#!/bin/sh\nR={shutil.which("restic")} S={slow}\n{hang}\nexec "$R" "$@"\n', mode=0o755)
    process = site.start("upkeep", "p", "--prune", env={"PATH": f"{site.root}/bin:{os.environ['PATH']}"})
    assert process.stderr
    if hang:
        assert eventually(slow.exists, 60)
    else:
        while step not in process.stderr.readline():
            assert process.poll() is None
    killed(process)
    if step in ("forgotten", "pruning"):
        assert there(site) == [last]
    tested = site.run("test", "p")
    assert (tested.code, tested.json["verdict"], tested.json["findings"]) == (0, "PASS", []), tested
    done = site.run("upkeep", "p", "--prune")
    assert done.code == 0, done
    assert known(site) == there(site) == [last]
    assert len(there(site, PRUNED)) == 1
    assert restic_of(site.root, "list", "locks", "--no-lock").split() == []
    restic_of(site.root, "check", "--read-data")
    site.run("sandbox", "reap")
    assert_clean(site)


def test_an_interrupted_prune_is_recorded(site: Site) -> None:
    stub = f'#!/bin/sh\ncase " $* " in *" prune "*) touch {site.root}/now; sleep 30;; esac\nexec {shutil.which("restic")} "$@"\n'
    site.write("bin/restic", stub, mode=0o755)
    process = site.start("upkeep", "p", "--prune", env={"PATH": f"{site.root}/bin:{os.environ['PATH']}"})
    assert eventually((site.root / "now").exists, 60)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 3
    record = site.records("prune.end")[-1]
    assert (record["result"], record["reason"], len(record["removed"])) == ("FAILED", "interrupted", 3)
    assert_clean(site)
