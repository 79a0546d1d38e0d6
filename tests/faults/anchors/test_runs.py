"""Signing and anchoring never delay or fail a run: what it does, records, says and exits with is as without."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.support.harness import Ran
from tests.support.listeners import mail_server, web_server
from tests.support.sparse import append_sparse

from .conftest import Anchored

OF_ANCHORS = ("ledger.anchors", "ledger.anchored")


@contextmanager
def deaf() -> Iterator[int]:
    """A port that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def what_came(ran: Ran, anchored: Anchored, before: int) -> object:
    """Of a run: its exit code, what it wrote, and its records without what is different each time."""
    kinds = [one["kind"] for one in anchored.site.records()[before:] if one["kind"] not in OF_ANCHORS]
    document = {key: ran.json[key] for key in ("did", "missed", "busy", "troubles")}
    return ran.code, ran.stderr, kinds, json.loads(json.dumps(document))


def run(anchored: Anchored) -> tuple[object, float]:
    for path in anchored.site.state.glob("schedule/wake-*"):
        path.unlink()
    before, began = len(anchored.site.records()), time.monotonic()
    done = anchored.site.run("run")
    return what_came(done, anchored, before), time.monotonic() - began


def grown(anchored: Anchored) -> None:
    """There is something to sign, and at once."""
    anchored.fails()


def test_a_run_signs_and_anchors(anchored: Anchored) -> None:
    run(anchored)
    assert len(list(anchored.receipts.parent.glob("*.txt"))) == 1
    assert len(list(anchored.receipts.glob("*.tsr"))) == 1
    run(anchored)  # within the hour, and nothing failed since
    assert len(list(anchored.receipts.parent.glob("*.txt"))) == 1
    anchored.works()
    run(anchored)
    assert len(list(anchored.receipts.parent.glob("*.txt"))) == 1
    anchored.fails()
    run(anchored)
    assert len(list(anchored.receipts.parent.glob("*.txt"))) == 2
    assert len(list(anchored.receipts.glob("*.tsr"))) == 1, "once a day, as it is configured"
    anchored.site.ledger_holds()


def test_without_a_key_and_without_anchors_nothing_is_signed(anchored: Anchored) -> None:
    anchored.configured()
    run(anchored)
    assert list(anchored.receipts.parent.glob("*.txt")) and not anchored.receipts.exists()
    assert "ledger.anchors" not in anchored.kinds()


@pytest.mark.parametrize("how", ["hangs", "refuses", "dead", "lies", "wrong file", "no certificate", "mailer hangs"])
def test_whatever_an_anchor_does_the_run_is_as_without(
    anchored: Anchored, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchored.configured()
    run(anchored)  # the first one of a site says more
    grown(anchored)
    without, alone = run(anchored)
    with deaf() as port:
        urls = anchored.site.write("urls", f"mailto://127.0.0.1:{port}/?from=a@b.test&to=c@d.test\n", mode=0o600)
        anchored.tsa.hangs = how == "hangs"
        anchored.tsa.status = 500 if how == "refuses" else 200
        anchored.tsa.answer = (lambda _: b"what?") if how == "lies" else None
        tsa = anchored.by_tsa()
        if how == "dead":
            tsa = tsa.replace(str(anchored.tsa.port), "9")
        if how == "no certificate":
            tsa = tsa.replace("ca.pem", "gone.pem")
        if how == "mailer hangs":
            tsa = f"name: auditor, kind: told, urls_file: {urls}"
        anchored.configured("name: 1, kind: x" if how == "wrong file" else tsa)
        grown(anchored)
        came, took = run(anchored)
    assert came == without
    assert not list(anchored.receipts.glob("*.tsr")) if anchored.receipts.exists() else True
    assert took < alone + 25, "it is given up"
    anchored.tsa.hangs, anchored.tsa.status, anchored.tsa.answer = False, 200, None
    anchored.configured(anchored.by_tsa())
    grown(anchored)
    assert run(anchored)[0] == without
    assert list(anchored.receipts.glob("*.tsr")), "the next run makes it"
    anchored.site.ledger_holds()


def test_all_locks_are_given_back_before_an_anchor_is_made(anchored: Anchored) -> None:
    """While one hangs, another command has its turn, and another run anchors nothing twice."""
    anchored.tsa.hangs = True
    anchored.fails()
    hanging = anchored.site.start("run")
    try:
        deadline = time.monotonic() + 60
        while not anchored.tsa.asked and time.monotonic() < deadline:
            time.sleep(0.05)
        assert anchored.tsa.asked, "it has asked"
        began = time.monotonic()
        assert anchored.site.run("status").json
        assert anchored.site.run("ledger", "verify").code in (0, 3)
        anchored.site.run("run")
        assert time.monotonic() - began < 15 and hanging.poll() is None
        assert len(anchored.tsa.asked) == 1
    finally:
        hanging.kill()
        hanging.wait(10)


def test_several_are_made_side_by_side(anchored: Anchored) -> None:
    """One that hangs keeps no other."""
    with deaf() as port, web_server() as web:
        hung = anchored.site.write("hung", f"mailto://127.0.0.1:{port}/?from=a@b.test&to=c@d.test\n", mode=0o600)
        well = anchored.site.write("well", f"{web.url()}\n", mode=0o600)
        told = "name: {}, kind: told, urls_file: {}"
        anchored.configured(anchored.by_tsa(), told.format("hung", hung), told.format("well", well))
        began = time.monotonic()
        done = anchored.checkpoint()
        assert done.code == 3 and time.monotonic() - began < 28
        by_name = {one["name"]: one["why"] for one in done.json["anchors"]}
        assert by_name["tsa"] is None and by_name["well"] is None and by_name["hung"]
        assert str(done.json["note"]).strip() in web.documents[0]["message"]


def test_what_was_mailed_is_an_anchor_for_whoever_got_it(anchored: Anchored) -> None:
    with mail_server() as mailbox:
        anchored.configured(
            f"name: auditor, kind: told, urls_file: {anchored.site.write('urls', mailbox.url(), mode=0o600)}"
        )
        size = anchored.checkpoint().json["records"]
        text = mailbox.text()
    note = text[text.rindex("ccdr.ledger/") :].replace("\r\n", "\n")
    pasted = anchored.site.write("pasted.txt", note.rstrip("\n") + "\n")
    anchored.works()
    done = anchored.site.run("ledger", "verify", "--pin", anchored.pin, "--anchor", str(pasted))
    assert (done.code, done.json["boundary"]["record"]) == (0, size)
    assert anchored.verify("--pin", anchored.pin) == (3, "internally consistent", []), (
        "the receipt alone proves nothing"
    )
    (receipt,) = anchored.receipts.glob("*.auditor.json")
    receipt.write_text(receipt.read_text().replace("told", "t0ld"))
    assert anchored.verify()[0] == 1


def test_what_fails_by_hand_is_signed_at_once_and_what_is_well_is_not(anchored: Anchored, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "call.wav").write_bytes(b"a call")
    os.utime(tmp_path / "spool" / "call.wav", (1e9, 1e9))
    assert anchored.checkpoint("--no-anchors").code == 0
    anchored.site.backed_up()
    assert len(list(anchored.receipts.parent.glob("*.txt"))) == 1
    anchored.site.run("test", "p", "--dry-run")
    assert len(list(anchored.receipts.parent.glob("*.txt"))) == 1
    anchored.fails()
    anchored.site.run("test", "p", "--dry-run")
    assert len(list(anchored.receipts.parent.glob("*.txt"))) == 1
    anchored.site.backed_up()
    assert len(list(anchored.receipts.parent.glob("*.txt"))) == 2
    assert not anchored.receipts.exists(), "a person waits for no anchor"


def test_that_an_anchor_holds_is_nothing_to_sign(anchored: Anchored) -> None:
    from tests.support.clocks import Clock

    from ccdr.jobs.checkpoints.store import due

    clock = Clock()
    clock.at = datetime.now().astimezone() + timedelta(hours=2)
    run(anchored)
    services = anchored.site.services(clock)
    assert not due(services, services.lineage()).now
    anchored.works()
    assert due(services, services.lineage()).now


def test_people_are_told_once_of_what_is_overdue(anchored: Anchored) -> None:
    with web_server() as web:
        anchored.site.write("plans/urls", web.url() + "\n", mode=0o600)
        plan = anchored.site.root / "plans" / "p.yaml"
        plan.write_text(plan.read_text() + "notify: {urls_file: urls}\n")
        run(anchored)
        before = len(web.documents)
        anchored.site.write("anchors.yaml", "anchors: 1\n")
        run(anchored)
        run(anchored)
        told = [one["message"] for one in web.documents[before:] if "anchors.yaml is wrong" in one["message"]]
        assert len(told) == 1, web.documents


def test_a_breached_objective_is_signed_at_once(anchored: Anchored) -> None:
    from ccdr.jobs.checkpoints.creation import make
    from ccdr.jobs.checkpoints.store import due

    services = anchored.site.services()
    make(services)
    anchored.works()
    assert not due(services, services.lineage(), urgent_only=True).now
    rto = {"objective_s": 60.0, "achieved_s": 90.0, "verdict": "BREACHED"}
    body = {"verdict": "PASS", "snapshot": {"id": "recordings-b0", "verdict": "PASS", "selected": "latest"}, "rto": rto}
    append_sparse(services.ledger, "restore_test.end", plan="p", asset="recordings", run="t", body=body)
    assert due(services, services.lineage(), urgent_only=True).now
