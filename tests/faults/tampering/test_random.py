"""Whatever was done to a ledger that a key signs is found, or lies outside of the boundary that is stated; and honest work
verifies. A seeded sample here; `make soak` tries a thousand (CCDR_SOAK, CCDR_SEED)."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.tampering import CHANGES, Kept, Tampering, a_year, drawn, tampered

from ccdr.jobs.checkpoints import creation as signing_keys
from ccdr.model.values import so_many

TIMES = int(os.environ.get("CCDR_SOAK", "60"))
SEED = int(os.environ.get("CCDR_SEED", "20261124"))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return a_year(tmp_path_factory.mktemp("good") / "state")


def proven(kept: Kept) -> tuple[bool, int, str]:
    """Does it verify by key and anchor, up to which record; and what was found."""
    chain, checked = kept.judged()
    found = "; ".join([*chain.problems, *(f"{one.code}: {one}" for one in checked.findings), *checked.unproven])
    held = chain.ok and checked.proven
    return held, checked.boundary.record if held and checked.boundary else 0, found


def test_the_untouched_one_verifies_up_to_the_newest_that_was_mailed(good: Kept) -> None:
    held, boundary, found = proven(good)
    assert held and found == "" and 0 < boundary < len(good.raw())


def attempt(good: Kept, how: Tampering, rng: random.Random, root: Path) -> str:
    kept = good.copied(root)
    first = tampered(kept, how, rng)
    held, boundary, _ = proven(kept)
    if first is None:  # nothing was changed but that checkpoints are gone
        return "nothing"
    assert not held or first > boundary, f"{how}: record {first} was changed, and it verifies up to {boundary}"
    return "outside" if held else "found"


def test_what_was_done_is_found_or_outside_of_the_boundary(good: Kept, tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(TIMES):
        rng = random.Random(SEED * 100_003 + number)
        outcomes[attempt(good, drawn(rng), rng, tmp_path / str(number))] += 1
    print(f"{so_many(TIMES, 'tampering')}, seed {SEED}: {dict(outcomes)}")
    assert outcomes["found"] > TIMES / 2


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("hiding", ["none", "chained", "signed"])
def test_each_kind_of_it_is(good: Kept, tmp_path: Path, change: str, hiding: str) -> None:
    for number in range(3):
        rng = random.Random(f"{SEED} {change} {hiding} {number}")
        attempt(good, Tampering(change, hiding, ("none", "all", "newest")[number]), rng, tmp_path / str(number))


# --- honest twins ------------------------------------------------------------------------------------------------


def _rotated(kept: Kept) -> None:
    signing_keys.rotate(kept.services)


def _crashed(kept: Kept) -> None:
    """A torn line, and a run without an end."""
    kept.work(4, crash=True)
    segment = max(kept.ledger.glob("*.jsonl"))
    with segment.open("ab") as file:
        file.write(b'{"seq":99,"prev":"0')
    kept.work(2)


def _stepped(kept: Kept) -> None:
    """The time server sets the clock back by some minutes."""
    kept.clock.on(minutes=-4)
    kept.work(2)


def _idle(kept: Kept) -> None:
    kept.sign()


def _late(kept: Kept) -> None:
    """A clock that stood for a week."""
    kept.clock.at += timedelta(days=7)
    kept.work(1)


def _new_key_after_a_loss(kept: Kept) -> None:
    """The host came back without its key: its auditor pins the new one, too."""
    for path in signing_keys.keys_directory(kept.services.state).iterdir():
        path.unlink()
    kept.pins.append(str(signing_keys.create(kept.services, lost=True).key))


HONEST: dict[str, Callable[[Kept], None]] = {
    "rotated": _rotated, "crashed": _crashed, "clock stepped": _stepped, "idle": _idle, "late": _late,
    "new key after a loss": _new_key_after_a_loss,
}  # fmt: skip


@pytest.mark.parametrize("what", HONEST)
def test_honest_work_verifies(good: Kept, tmp_path: Path, what: str) -> None:
    kept = good.copied(tmp_path / "twin")
    HONEST[what](kept)
    kept.sign(mail=True)
    kept.work(1)
    held, boundary, found = proven(kept)
    assert held and found == "" and boundary == len(kept.raw()) - 2, found


def test_honest_work_in_any_order_verifies(good: Kept, tmp_path: Path) -> None:
    for number in range(max(3, TIMES // 10)):
        rng = random.Random(f"{SEED} honest {number}")
        kept = good.copied(tmp_path / str(number))
        done = [rng.choice(list(HONEST)) for _ in range(rng.randrange(1, 6))]
        for what in done:
            HONEST[what](kept)
            if rng.random() < 0.7:
                kept.sign(mail=rng.random() < 0.5)
        kept.sign(mail=True)
        held, _, found = proven(kept)
        assert held and found == "", (done, found)


def test_two_hosts_are_two_ledgers_and_each_verifies_by_its_own_key(tmp_path: Path) -> None:
    one, two = a_year(tmp_path / "one"), a_year(tmp_path / "two")
    assert proven(one)[0] and proven(two)[0]
    two.pins = one.pins
    held, _, found = proven(two)
    assert not held and "KEY_NOT_PINNED" in found
