"""SIGKILL at random over `ccdr runbook run` and `resume`: what is done is never done again, nothing is written by half,
and it goes on. A seeded few kills here; `make soak` does many (CCDR_SOAK, CCDR_SEED)."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections import Counter

from tests.faults.runbook.conftest import Written, ran, states
from tests.support.harness import Site

KILLS = int(os.environ.get("CCDR_SOAK", "60")) // 10
SEED = int(os.environ.get("CCDR_SEED", "20261128"))
LONGEST = 1.2  # seconds into a process; all of it takes about as long
NAMES = [f"s{number}" for number in range(8)]


def steps() -> str:
    """A chain of steps that last a moment; each second one may be repeated."""
    lines = []
    for number, name in enumerate(NAMES):
        after = f", depends_on: [{NAMES[number - 1]}]" if number else ""
        repeat = ", repeat: true" if number % 2 else ""
        lines.append(f"{name}: {{kind: command, argv: [sh, -c, 'echo {name} >> {{out}}; sleep 0.05']{repeat}{after}}}")
    return "\n".join(lines)


def killed(site: Site, verb: str, after: float) -> None:
    process = subprocess.Popen(site.argv("runbook", verb, "p"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def test_killed_at_any_moment_it_goes_on_and_repeats_nothing_that_is_done(with_runbook: Written) -> None:
    drawn = random.Random(SEED)
    site = with_runbook(steps())
    for round_ in range(KILLS):
        (site.root / "out").unlink(missing_ok=True)
        killed(site, "run", drawn.uniform(0.3, LONGEST))
        if drawn.random() < 0.5:
            killed(site, "resume", drawn.uniform(0.3, LONGEST))
        done, asked = site.run("runbook", "resume", "p"), Counter[str]()
        if done.code == 2 and "no run of this runbook is open" in done.json["error"]:
            done = site.run("runbook", "run", "p") if not ran(site) else site.run("runbook", "status", "p")
        while done.json["stopping"]:
            (name,) = done.json["stopping"]
            assert states(done)[name] == "interrupted" and NAMES.index(name) % 2 == 0, done
            asked[name] += 1
            done = site.run("runbook", "retry", "p", name)
        assert done.json["state"] == "done", (SEED, round_, done)
        times = Counter(ran(site))
        for number, name in enumerate(NAMES):
            most = 3 if number % 2 else 1 + asked[name]
            assert 1 <= times[name] <= most, (SEED, round_, times, asked)
        events = [json.loads(line) for path in (site.state / "runbook/p").glob(f"{done.json['run']}.jsonl")
                  for line in path.read_text("utf-8").splitlines()]  # fmt: skip
        finished = Counter(event["step"] for event in events if event["what"] == "step.done")
        assert finished == dict.fromkeys(NAMES, 1), (SEED, round_, finished)
    of_runs = Counter((r["run"], r["kind"]) for r in site.records() if r["kind"] in ("runbook.start", "runbook.end"))
    assert set(of_runs.values()) == {1}
    site.ledger_holds()
