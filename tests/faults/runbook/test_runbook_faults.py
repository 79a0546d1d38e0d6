"""What can go wrong with a runbook, and what is done about it; each with its healthy twin."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tests.faults.runbook.conftest import Written, ran, states
from tests.support.harness import Site, eventually

SAY = "{{kind: command, argv: [sh, -c, 'echo {0} >> {{out}}']{1}}}"


def say(word: str, more: str = "") -> str:
    return SAY.format(word, f", {more}" if more else "")


# --- the file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "line", "said"),
    [
        ("a: {kind: confirm, question: q, depends_on: [b]}\nb: {kind: confirm, question: q, depends_on: [a]}", 7,
         "waits in a circle (a on b on a)"),
        ("a: {kind: decision, question: q, answers: {x: [b], y: []}, depends_on: [b]}\nb: {kind: manual, instructions: i}",
         7, "waits in a circle"),
        ("a: {kind: confirm, question: q}\nb: {kind: confirm, question: q, depends_on: [aa]}", 8, "did you mean a?"),
        ("a: {kind: decision, question: q, answers: {x: [c], y: []}}", 7, "names the step c, which this plan does not"),
        ("a: {kind: confirm, question: q, depends_on: [a]}", 7, "names the step itself"),
        ("a: {kind: shell, argv: [x]}", 7, "is not a known kind"),
        ("a: {kind: check, of: sources, assets: [crm]}", 7, "names the asset crm, which this plan does not have"),
        ("a: {kind: sql, asset: rec, query: select 1, expect: 1}", 7, "is of the engine files, which answers no SQL"),
        ("a: {kind: sql, query: select 1, expect: 1}", 7, "names no server to ask"),
        ("a: {kind: http, url: 'https://user:word@x/'}", 7, "a secret is never a value in a plan"),
        ("a: {kind: decision, question: q, answers: {x: []}}", 7, "leaves nothing to decide"),
    ],
)  # fmt: skip
def test_a_wrong_runbook_is_told_by_file_and_line_and_nothing_is_done(
    with_runbook: Written, steps: str, line: int, said: str
) -> None:
    site = with_runbook(steps)
    done = site.run("runbook", "run", "p")
    assert done.code == 2 and f"p.yaml:{line}: runbook.a" in done.json["error"].replace("runbook.b", "runbook.a")
    assert (
        said in done.json["error"] and not site.records() and "word" not in done.json["error"].replace("password", "")
    )


@pytest.mark.parametrize(
    "given",
    ["ask=maybe", "asks=yes", "ask", "run=yes"],
    ids=["no such answer", "no such step", "no answer", "no question"],
)
def test_an_answer_that_fits_nothing_is_refused_before_anything_begins(with_runbook: Written, given: str) -> None:
    site = with_runbook(f"run: {say('run')}\nask: {{kind: confirm, question: q}}")
    assert site.run("runbook", "run", "p", "--answer", given).code == 2
    assert not ran(site) and not site.records()
    done = site.run("runbook", "run", "p", "--answer", "ask=yes")
    assert (done.code, done.json["state"], ran(site)) == (0, "done", ["run"])


# --- steps ------------------------------------------------------------------------------------------------


def test_a_failed_step_stops_what_depends_on_it_alone_and_retry_goes_on_from_there(with_runbook: Written) -> None:
    site = with_runbook(
        f"first: {say('first')}\n"
        "bad: {kind: command, argv: [sh, -c, 'test -e {out}.mended'], depends_on: [first]}\n"
        f"after: {say('after', 'depends_on: [bad]')}\n"
        f"beside: {say('beside', 'depends_on: [first]')}"
    )
    done = site.run("runbook", "run", "p")
    assert (done.code, done.json["state"]) == (1, "paused_by_failed_step")
    assert states(done) == {"first": "done", "bad": "failed", "after": "pending", "beside": "done"}
    assert next(s["waits_for"] for s in done.json["steps"] if s["step"] == "after") == ["bad"]
    assert "RUNBOOK_STANDS" in json.dumps(site.run("status", "p").json)
    assert site.run("runbook", "retry", "p", "first").code == 2  # what is done is never done again
    (site.root / "out.mended").touch()
    done = site.run("runbook", "retry", "p", "bad")
    assert (done.code, done.json["state"], sorted(ran(site))) == (0, "done", ["after", "beside", "first"])
    assert "RUNBOOK_STANDS" not in json.dumps(site.run("status", "p").json)
    site.ledger_holds()


def test_a_skipped_step_is_a_deviation_with_who_and_why_apart(with_runbook: Written) -> None:
    site = with_runbook(f"bad: {{kind: command, argv: ['false']}}\nafter: {say('after', 'depends_on: [bad]')}")
    assert site.run("runbook", "run", "p").code == 1
    assert site.run("runbook", "skip", "p", "bad").code == 2  # without a reason
    done = site.run("runbook", "skip", "p", "bad", "--why", "Ana Pop phoned: it is not needed")
    assert (done.code, done.json["state"], done.json["deviations"]) == (0, "done", ["bad"])
    (end,) = site.records("runbook.end")
    assert end["skipped"] == ["bad"] and end["result"] == "DONE"
    (skipped,) = (r for r in site.records("runbook.step") if r["result"] == "SKIPPED")
    assert skipped["words_sha256"] and skipped["who"]["uid"] == os.getuid()
    ledger = b"".join(path.read_bytes() for path in (site.state / "ledger").glob("*.jsonl"))
    journal = b"".join(path.read_bytes() for path in (site.state / "runbook").rglob("*.jsonl"))
    assert b"Ana Pop" not in ledger + journal  # a person's words are kept apart, and can be taken back
    assert next(s["said"] for s in done.json["steps"] if s["step"] == "bad") == "Ana Pop phoned: it is not needed"
    (told,) = site.run("report", "--format", "json").json["runbooks"]
    assert (told["result"], told["skipped"]) == ("DONE", ["bad"]) and "Ana Pop" not in json.dumps(told)


def test_what_a_command_says_is_in_no_record_and_no_answer(with_runbook: Written) -> None:
    site = with_runbook("bad: {kind: command, argv: [sh, -c, 'echo 0722-555-123 >&2; echo Ana Pop; exit 3']}")
    done = site.run("runbook", "run", "p")
    assert done.code == 1 and "`sh` exited with 3" in done.json["steps"][0]["reason"]
    everything = done.stdout + json.dumps(site.records())
    assert "0722-555" not in everything and "Ana Pop" not in everything
    assert "Ana Pop" in site.words()


def test_a_program_that_is_missing_is_not_a_finding(with_runbook: Written) -> None:
    done = with_runbook("bad: {kind: command, argv: [no-such-program-here]}").run("runbook", "run", "p")
    assert done.code == 3 and "not installed" in done.json["steps"][0]["reason"]


def test_a_command_that_hangs_is_stopped_at_its_timeout(with_runbook: Written) -> None:
    began = time.monotonic()
    done = with_runbook("bad: {kind: command, argv: [sleep, '60'], timeout: 1s}").run("runbook", "run", "p")
    assert done.code == 1 and time.monotonic() - began < 30 and states(done) == {"bad": "failed"}


# --- people -----------------------------------------------------------------------------------------------


def test_without_a_terminal_people_are_waited_for_told_once_and_nothing_is_assumed(with_runbook: Written) -> None:
    inbox = []

    class Inbox(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            inbox.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        site = with_runbook(
            f"d: {{kind: decision, question: q, answers: {{go: [x], stop: []}}}}\nx: {say('x')}\ny: {say('y')}",
            extra="notify: {urls_file: urls}\n",
        )
        site.write("plans/urls", f"json://127.0.0.1:{server.server_port}/\n", mode=0o600)
        for _ in range(2):
            done = site.run("runbook", "run" if not ran(site) else "resume", "p")
            assert (done.code, done.json["state"], ran(site)) == (3, "waiting_for_decision", ["y"])
        assert len(inbox) == 1 and "d is to be answered" in json.dumps(inbox[0]), inbox
        assert site.run("runbook", "resume", "p", "--answer", "d=go").json["state"] == "done"
        assert sorted(ran(site)) == ["x", "y"]
    finally:
        server.shutdown()


def test_at_a_terminal_it_asks_and_writes_down_who_answered(with_runbook: Written) -> None:
    site = with_runbook(
        f"ask: {{kind: confirm, question: sure}}\nx: {say('x', 'depends_on: [ask]')}\n"
        "tell: {kind: manual, instructions: [phone them], question: whom, depends_on: [x]}"
    )
    said = at_terminal(site, ["runbook", "run", "p"], ["perhaps", "y", "all of them"])
    assert "is no answer" in said and "phone them" in said and ran(site) == ["x"]
    steps = {r["step"]: r for r in site.records("runbook.step") if r["result"] == "DONE"}
    assert steps["ask"]["answer"] == "yes" and steps["tell"]["answer"] == "done" and steps["tell"]["words_sha256"]
    (end,) = site.records("runbook.end")
    assert end["elapsed_s"] >= end["waited_s"] > 0 and end["result"] == "DONE"


def at_terminal(site: Site, args: list[str], lines: list[str]) -> str:
    """What a person sees who types each line when a prompt has come."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        site.argv(*args), stdin=follower, stdout=follower, stderr=follower, start_new_session=True
    )
    os.close(follower)
    said, answered = "", 0
    try:
        while process.poll() is None or answered < len(lines):
            try:
                said += os.read(leader, 4096).decode("utf-8", "replace")
            except OSError:
                break
            if answered < len(lines) and said.count("\n> ") > answered:
                os.write(leader, f"{lines[answered]}\n".encode())
                answered += 1
    finally:
        if process.poll() is None:
            process.wait(60)
        os.close(leader)
    assert process.returncode == 0, said
    return said


# --- hands ------------------------------------------------------------------------------------------------


def test_two_people_at_the_same_runbook_the_second_is_told_who_is_at_it(with_runbook: Written) -> None:
    site = with_runbook(
        f"wait: {{kind: command, argv: [sh, -c, 'until test -e {{out}}.go; do sleep 0.1; done']}}\nx: {say('x')}"
    )
    first = site.start("runbook", "run", "p")
    try:
        eventually(lambda: ran(site) == ["x"])
        for verb in (["run", "p"], ["resume", "p"], ["skip", "p", "wait", "--why", "w"], ["retry", "p", "wait"]):
            second = site.run("runbook", *verb)
            assert second.code == 5 and " on " in second.json["error"] and "since" in second.json["error"], second
        status = site.run("runbook", "status", "p")
        assert status.code == 0 and status.json["by"]["at_work"] and status.json["running"] == ["wait"]
        assert "RUNBOOK_STANDS" not in json.dumps(site.run("status", "p").json)
    finally:
        (site.root / "out.go").touch()
        assert first.wait(60) == 0
    assert ran(site) == ["x"] and site.run("runbook", "status", "p").json["state"] == "done"


def test_a_run_that_is_open_is_not_begun_again_and_afresh_ends_it_first(with_runbook: Written) -> None:
    site = with_runbook(f"x: {say('x')}\nask: {{kind: confirm, question: q}}")
    assert site.run("runbook", "run", "p").code == 3
    again = site.run("runbook", "run", "p")
    assert again.code == 2 and "resume" in again.json["hint"]
    assert site.run("runbook", "run", "p", "--afresh").code == 2  # without a reason
    done = site.run("runbook", "run", "p", "--afresh", "--why", "another outage", "--answer", "ask=yes")
    assert done.code == 0 and ran(site) == ["x", "x"]
    assert [end["result"] for end in site.records("runbook.end")] == ["ABANDONED", "DONE"]


def test_an_interrupt_stops_what_runs_and_resume_asks_about_it_again(with_runbook: Written) -> None:
    site = with_runbook(
        "long: {kind: command, argv: [sh, -c, 'echo long >> {out}; sleep 60']}\n"
        "again: {kind: command, argv: [sh, -c, 'echo again >> {out}; test -e {out}.go || sleep 60'], repeat: true}"
    )
    process = site.start("runbook", "run", "p")
    eventually(lambda: sorted(ran(site)) == ["again", "long"])
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 3
    (site.root / "out.go").touch()
    done = site.run("runbook", "resume", "p")
    assert done.code == 3 and states(done) == {"long": "interrupted", "again": "done"}
    assert sorted(ran(site)) == ["again", "again", "long"]  # what the plan lets be repeated; the other is not, unasked
    assert site.run("runbook", "skip", "p", "long", "--why", "it was done").code == 0


# --- clocks, disks ----------------------------------------------------------------------------------------


def test_a_journal_that_cannot_be_written_begins_nothing(with_runbook: Written) -> None:
    site = with_runbook(f"x: {say('x')}\nask: {{kind: confirm, question: q}}\ny: {say('y', 'depends_on: [ask]')}")
    assert site.run("runbook", "run", "p").code == 3 and ran(site) == ["x"]
    (journal,) = (site.state / "runbook" / "p").glob("*.jsonl")
    kept = journal.read_bytes()
    journal.unlink()
    journal.mkdir()  # as unwritable as a full disk, for root too
    assert site.run("runbook", "resume", "p", "--answer", "ask=yes").code == 3 and ran(site) == ["x"]
    journal.rmdir()
    journal.write_bytes(kept + b'{"seq": 99, "what": "step.do')  # a line that was cut off when the power went
    done = site.run("runbook", "resume", "p", "--answer", "ask=yes")
    assert (done.code, ran(site)) == (0, ["x", "y"])


def test_a_journal_that_somebody_changed_is_told_and_not_believed(with_runbook: Written) -> None:
    site = with_runbook(f"x: {say('x')}\nask: {{kind: confirm, question: q}}")
    assert site.run("runbook", "run", "p").code == 3
    (journal,) = (site.state / "runbook" / "p").glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2] + lines[3:]))
    done = site.run("runbook", "resume", "p", "--answer", "ask=yes")
    assert done.code == 3 and "lacks happenings" in done.json["error"] and ran(site) == ["x"]


ASKS = f"x: {say('x')}\nask: {{kind: confirm, question: q, depends_on: [x]}}\ny: {say('y', 'depends_on: [ask]')}"


def journal_of(site: Site) -> Path:
    (journal,) = (site.state / "runbook" / "p").glob("*.jsonl")
    return journal


def answered_by_nobody(journal: Path) -> None:
    """By somebody who may write the state, and does not have the repository's password."""
    lines = journal.read_bytes().splitlines()
    last = json.loads(lines[-1])
    forged = {key: last[key] for key in ("time", "mono", "session", "by", "host", "pid", "boot")}
    forged |= {"seq": len(lines) + 1, "what": "step.done", "step": "ask", "attempt": 1, "answer": "yes"}
    journal.write_bytes(b"\n".join([*lines, json.dumps(forged).encode(), b""]))


def test_what_somebody_wrote_into_a_journal_is_not_believed_and_ends_up_in_no_record(with_runbook: Written) -> None:
    site = with_runbook(ASKS)
    assert site.run("runbook", "run", "p").code == 3
    answered_by_nobody(journal := journal_of(site))
    for words in (["resume", "p"], ["skip", "p", "y", "--why", "no need"]):
        done = site.run("runbook", *words)
        assert done.code == 3 and "this plan's repository password" in done.json["error"], done
    looked = site.run("runbook", "status", "p")
    assert any("is not believed" in note for note in looked.json["notes"]), looked
    assert ran(site) == ["x"] and not [
        r for r in site.records("runbook.step") if r["step"] == "ask" and r["result"] == "DONE"
    ]
    done = site.run("runbook", "run", "p", "--afresh", "--why", "somebody wrote there", "--answer", "ask=yes")
    assert (done.code, ran(site)) == (0, ["x", "x", "y"]) and not journal.read_bytes().count(b'"answer":"yes"'), done
    results = [r["result"] for r in site.records("runbook.end")]
    assert results == ["ABANDONED", "DONE"], results
    site.ledger_holds()


@pytest.mark.parametrize("harm", [b"", b"x"], ids=["as it was", "one byte"])
def test_a_line_that_was_changed_is_not_believed(with_runbook: Written, harm: bytes) -> None:
    site = with_runbook(ASKS)
    assert site.run("runbook", "run", "p").code == 3
    journal = journal_of(site)
    journal.write_bytes(journal.read_bytes().replace(b'"by":"', b'"by":"' + harm, 1))
    assert site.run("runbook", "resume", "p", "--answer", "ask=yes").code == (3 if harm else 0)


def test_a_runbook_waits_for_no_password_and_what_is_not_sealed_is_told(with_runbook: Written) -> None:
    """The vault is down: whether it is dead can be found out all the same. With the password it goes on, and what was
    begun with it does not go on without."""
    site = with_runbook(ASKS)
    (key := site.root / "plans/key").rename(away := site.root / "away")
    begun = site.run("runbook", "run", "p")
    assert (begun.code, ran(site)) == (3, ["x"]) and "bears no seal" in begun.stderr, begun
    assert [r["sealed"] for r in site.records("runbook.start")] == [False]
    away.rename(key)
    assert site.run("runbook", "resume", "p", "--answer", "ask=yes").code == 0 and ran(site) == ["x", "y"]
    assert site.run("runbook", "run", "p").code == 3 and [r["sealed"] for r in site.records("runbook.start")] == [
        False,
        True,
    ]
    key.rename(away)
    done = site.run("runbook", "resume", "p", "--answer", "ask=yes")
    assert done.code == 3 and "the repository's password" in done.json["error"], done
    assert site.run("runbook", "run", "p", "--afresh", "--why", "no vault", "--answer", "ask=yes").code == 0


# --- health checks ----------------------------------------------------------------------------------------


def test_an_interrupted_switch_is_red_until_the_service_answers_and_that_ends_the_rto(with_runbook: Written) -> None:
    """The application was not pointed to the new one: the health check is red, and nothing says that it is back."""

    class Down(BaseHTTPRequestHandler):
        status = 503

        def do_GET(self) -> None:
            self.send_response(type(self).status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Down)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        site = with_runbook(
            "repoint: {kind: manual, instructions: point it}\n"
            f"web: {{kind: http, url: 'http://127.0.0.1:{server.server_port}/', within: 1s, depends_on: [repoint]}}"
        )
        done = site.run("runbook", "run", "p", "--answer", "repoint=done")
        assert done.code == 1 and "answers 503, expected 200" in json.dumps(done.json)
        assert done.json["rto"]["verdict"] == "NOT_MEASURED"
        Down.status = 200
        done = site.run("runbook", "retry", "p", "web")
        assert done.code == 0 and (done.json["rto"]["verdict"], done.json["rto"]["shown_by"]) == ("MET", "web")
        rto = site.records("runbook.end")[0]["rto"]
        assert rto["achieved_s"] == pytest.approx(rto["machine_s"] + rto["waited_s"], abs=0.01)
    finally:
        server.shutdown()


@pytest.mark.parametrize(("extra", "code"), [("", 1), (", look: true", 0)], ids=["health", "look"])
def test_what_does_not_answer_fails_a_health_check_and_only_tells_a_look(
    with_runbook: Written, extra: str, code: int
) -> None:
    done = with_runbook(f"web: {{kind: http, url: 'http://127.0.0.1:9/', within: 1s{extra}}}").run(
        "runbook", "run", "p"
    )
    assert done.code == code and "Connection refused" in json.dumps(done.json["steps"])


# --- planted ----------------------------------------------------------------------------------------------


def test_a_planted_command_never_runs_before_somebody_has_seen_it(with_runbook: Written, tmp_path: Path) -> None:
    site = with_runbook(f"x: {say('x')}")
    mark = {
        "format": 2, "taken": "2026-11-24T12:00:00Z",
        "repository": {"url": str(site.repo), "password_file": str(site.root / "plans/key"), "env_file": None},
        "plans": {"p": {"plan": "p", "version": "0" * 64, "files": {}, "plan_format": 2, "ccdr": None, "made": False, "confirmed": []}},
    }  # fmt: skip
    site.write("plans/.ccdr-bootstrap.json", json.dumps(mark))
    done = site.run("runbook", "run", "p")
    assert done.code == 3 and "runbook.x.argv" in json.dumps(done.json) and not ran(site) and not site.records()
    assert site.run("runbook", "run", "p", "--dry-run").code == 0 and not ran(site)
    assert site.run("plan", "trust", "p", "--yes-i-mean", "p").code == 0
    assert site.run("runbook", "run", "p").code == 0 and ran(site) == ["x"]
