"""What to do is said once for each step, and the same finding stays the same."""

from __future__ import annotations

from syrupy.assertion import SnapshotAssertion
from tests.support.standing import IDS, World, ago, failed_for_a_newer_one

from ccdr.model.finding import Finding, recorded
from ccdr.model.trouble import Trouble
from ccdr.telling.status import upkeep_problems


def test_the_same_finding_stays_the_same_while_its_numbers_change(world: World) -> None:
    world.snapshot(1, ago(minutes=5))
    abouts = []
    for count in (12, 3.5):
        found = recorded([Finding(f"{count} files in use", "files in use", (count,))])
        world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]}, findings=found)
        abouts += [p.about for p in world.now.wrong if p.trouble is Trouble.FINDING]
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]}, findings=["12 files changed"])
    abouts += [p.about for p in world.now.wrong if p.trouble is Trouble.FINDING]
    assert len(abouts) == 3 and abouts[0] == abouts[1] != abouts[2]


def test_status_says_what_to_do_once_for_each_step(world: World) -> None:
    failed_for_a_newer_one(world)
    said = world.site.start("status").communicate()[0].splitlines()[1:]
    (line,) = (n for n, text in enumerate(said) if "FAIL for a newer backup alone" in text)
    assert any("its snapshot is good" in text for text in said), "in the table, too"
    (cause,), (breach,) = (
        [n for n, text in enumerate(said) if gist in text] for gist in ("p/recordings: the backup of", "RPO breached")
    )
    step = "  → `ccdr doctor p` looks for the cause; then `ccdr backup p --asset recordings`"
    assert cause < line < breach and step in said[breach:], (
        "the cause first, and its step for what follows from it, too"
    )
    steps = [text for text in said if text.startswith("  → ")]
    assert len(steps) == len(set(steps)) >= 2


def test_a_secret_that_others_may_read_is_a_problem_of_its_plan(world: World, wording: SnapshotAssertion) -> None:
    def found() -> list[str]:
        return [p.text for p in upkeep_problems([world.site.loaded()], world.services)["p"]]

    assert found() == []
    key = world.site.root / "plans" / "key"
    key.chmod(0o640)
    assert [one.replace(str(key), "KEY") for one in found()] == wording
    key.chmod(0o600)
    right = key.read_text()
    for short in ("", "1234567\n"):
        key.write_text(short)
        (text,) = found()
        assert str(key) in text and "shorter than 8 characters" in text
        assert world.site.run("backup", "p").code == 2, "a backup says the same"
    key.write_text(right)
    assert found() == []
    key.unlink()
    assert found() == [], "what is not there is told where it is needed"
