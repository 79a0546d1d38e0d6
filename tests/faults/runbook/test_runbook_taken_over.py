"""Two hosts and a bucket: only one goes on, another takes over explicitly, and whoever lost it is told who has it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from tests.faults.runbook.conftest import Written, ran, states
from tests.support.harness import Site, eventually
from tests.support.schema import document_misfits

from ccdr.demo.store import DemoStore

STEPS = """\
first: {kind: command, argv: [sh, -c, 'echo first >> {out}']}
ask: {kind: confirm, question: sure, depends_on: [first]}
last: {kind: command, argv: [sh, -c, 'echo last >> {out}'], depends_on: [ask]}
"""


@pytest.fixture
def hosts(with_runbook: Written, store: DemoStore, tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    """Two hosts with the same plan, each with a state of its own; the bucket is empty."""
    name = f"runbook-{token_hex(4)}"
    store.bucket(name).create_versioned(patience=30)
    site = with_runbook(STEPS, extra=f"runbook_state: {{url: 's3:{store.endpoint}/{name}/dr', env_file: b.env}}\n")
    site.write("plans/b.env", store.env_file(), mode=0o600)

    class Other(Site):
        @property
        def state(self) -> Path:
            return self.root / "other-state"

    yield site, Other(site.root)


def test_another_host_goes_on_only_after_taking_over_and_the_first_may_not_any_more(hosts: tuple[Site, Site]) -> None:
    one, other = hosts
    assert one.run("runbook", "run", "p").code == 3 and ran(one) == ["first"]
    refused = other.run("runbook", "run", "p")
    assert refused.code == 5 and " on " in refused.json["error"] and "since" in refused.json["error"]
    assert "take-over" in refused.json["hint"] and ran(one) == ["first"]
    assert other.run("runbook", "resume", "p").code == 5
    seen = other.run("runbook", "status", "p")
    assert states(seen) == {"first": "done", "ask": "waiting", "last": "pending"}
    taken = other.run("runbook", "take-over", "p")
    assert taken.code == 0 and not document_misfits("runbook take-over", taken.json)
    lost = one.run("runbook", "resume", "p", "--answer", "ask=yes")
    assert lost.code == 5 and "is being carried out by" in lost.json["error"] and ran(one) == ["first"]
    done = other.run("runbook", "resume", "p", "--answer", "ask=yes")
    assert (done.code, done.json["state"], ran(one)) == (0, "done", ["first", "last"])
    assert [r["taken_over_from"] is not None for r in other.records("runbook.start")] == [True]
    assert [r["result"] for r in other.records("runbook.end")] == ["DONE"]
    one.ledger_holds()
    other.ledger_holds()


def test_a_host_that_was_away_learns_in_the_middle_of_a_step_that_it_is_no_longer_its_own(
    hosts: tuple[Site, Site],
) -> None:
    one, other = hosts
    plan = (one.root / "plans/p.yaml").read_text("utf-8")
    slow = f"'until test -e {one.root / 'go'}; do sleep 0.1; done; echo first"
    one.write("plans/p.yaml", plan.replace("'echo first", slow))
    process = one.start("runbook", "run", "p")
    try:
        eventually(lambda: [p for p in (one.state / "runbook").rglob("*.jsonl") if b"step.begun" in p.read_bytes()])
        taken = other.run("runbook", "take-over", "p")
        assert taken.code == 0, taken
    finally:
        (one.root / "go").touch()
        code = process.wait(60)
    assert code == 5 and ran(one) == ["first"]  # it ends what it was at, and begins nothing
    ours = other.run("runbook", "status", "p")
    assert states(ours)["first"] == "interrupted"  # whether it was done only a person can tell here
    assert other.run("runbook", "skip", "p", "first", "--why", "it was done there").code == 3
    assert other.run("runbook", "resume", "p", "--answer", "ask=yes").code == 0 and ran(one) == ["first", "last"]
    assert one.run("runbook", "take-over", "p").code == 2  # it is over


def test_a_bucket_that_is_gone_stops_nobody_and_what_it_lacks_comes_later(hosts: tuple[Site, Site]) -> None:
    one, other = hosts
    env = (one.root / "plans/b.env").read_text("utf-8")
    one.write("plans/b.env", "AWS_ACCESS_KEY_ID=nobody\nAWS_SECRET_ACCESS_KEY=nothing\n", mode=0o600)
    done = one.run("runbook", "run", "p")
    assert (done.code, ran(one)) == (3, ["first"]) and "on this host alone" in done.stderr
    one.write("plans/b.env", env, mode=0o600)
    assert other.run("runbook", "take-over", "p").code == 2  # nothing is there yet
    assert one.run("runbook", "resume", "p").code == 3
    assert states(other.run("runbook", "status", "p"))["first"] == "done"


class Intruder:
    """Whoever has the bucket's credential, and nothing else."""

    def __init__(self, site: Site, store: DemoStore) -> None:
        url = re.search(
            r"runbook_state: {url: 's3:\S+/(runbook-\w+)/dr'", (site.root / "plans/p.yaml").read_text("utf-8")
        )
        assert url is not None
        self.name, self.client = url[1], store.bucket(url[1]).client()

    @property
    def keys(self) -> list[str]:
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=self.name, Prefix="dr/")["Contents"]]

    def body(self, key: str) -> dict[str, Any]:
        return dict(json.loads(self.client.get_object(Bucket=self.name, Key=key)["Body"].read()))

    def put(self, key: str, body: dict[str, Any]) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=json.dumps(body).encode())


def test_a_step_that_nobody_with_the_password_has_done_is_not_done_and_stops_nobody(
    hosts: tuple[Site, Site], store: DemoStore
) -> None:
    one, other = hosts
    one.run("runbook", "run", "p")
    intruder = Intruder(one, store)
    last = intruder.keys[-1]
    folder, number = last.rpartition("/")[0], len(intruder.keys) + 1
    said = {**intruder.body(last), "seq": number, "what": "step.done", "step": "ask", "answer": "yes", "attempt": 1}
    intruder.put(f"{folder}/{number:08}.json", said)
    assert states(other.run("runbook", "status", "p"))["ask"] == "waiting"
    assert other.run("runbook", "run", "p").code == 5  # the true one is known up to there
    refused = other.run("runbook", "take-over", "p")
    assert refused.code == 3 and "is not believed" in refused.json["error"], refused
    done = one.run("runbook", "resume", "p", "--answer", "ask=yes")
    assert (done.code, ran(one)) == (0, ["first", "last"]) and "is not believed" in done.stderr, done


def test_a_run_that_was_planted_hides_none_and_what_was_sealed_for_another_place_is_not_believed(
    hosts: tuple[Site, Site], store: DemoStore
) -> None:
    one, other = hosts
    one.run("runbook", "run", "p")
    intruder = Intruder(one, store)
    first = intruder.keys[0]
    planted = f"{first.rsplit('/', 2)[0]}/99990101T000000-abcdef/"
    intruder.put(f"{planted}00000001.json", intruder.body(first))  # a true one, of an older run
    intruder.client.put_object(Bucket=intruder.name, Key=f"{planted}00000002.json", Body=b"no happening")
    assert other.run("runbook", "run", "p").code == 5 and ran(one) == ["first"]
    assert other.run("runbook", "take-over", "p").code == 0
    done = other.run("runbook", "resume", "p", "--answer", "ask=yes")
    assert (done.code, ran(one)) == (0, ["first", "last"]), done


def test_without_a_bucket_nothing_can_be_taken_over(with_runbook: Written) -> None:
    done = with_runbook("a: {kind: confirm, question: q}").run("runbook", "take-over", "p")
    assert done.code == 2 and "runbook_state" in done.json["error"]
