"""A runbook's steps against real stores: a recovery that goes on by its own journal, questions by SQL, and looks that
tell dead from alive."""

from __future__ import annotations

import json
import random
import signal

from tests.faults.runbook.conftest import states
from tests.support.harness import Site, Source, eventually, small_database
from tests.support.mariadb_source import MariaSource
from tests.support.mariadb_source import crm as maria_crm
from tests.support.mariadb_source import small_database as maria_database
from tests.support.stored import settled_file

RECOVERY = """\
runbook:
  pause: {kind: command, argv: [ccdr, pause, p, --for, 1h, --why, test], repeat: true}
  recover: {kind: recover, depends_on: [pause]}
  end: {kind: command, argv: [ccdr, pause, p, --end], repeat: true, depends_on: [recover]}
"""


def test_all_is_brought_back_by_its_recover_step_and_what_was_paused_goes_on(site: Site) -> None:
    tree = site.root / "spool"
    for number in range(3):
        settled_file(tree / f"{number}.wav", b"voice" * 1000)
    site.recordings(tree)
    plan = (site.root / "plans/p.yaml").read_text("utf-8")
    targets = f"targets:\n  recordings: {{directory: {site.root}/back}}\n"
    site.write("plans/p.yaml", plan.replace("assets:\n", f"{targets}{RECOVERY}assets:\n", 1))
    site.backed_up()
    done = site.run("runbook", "run", "p")
    assert done.code == 0 and set(states(done).values()) == {"done"}, done
    back = sorted(path.read_bytes() for path in (site.root / "back").rglob("*.wav"))
    assert back == [b"voice" * 1000] * 3
    assert (done.json["rto"]["verdict"], done.json["rto"]["shown_by"]) == ("MET", "recover")
    assert [r["result"] for r in site.records("runbook.end")] == ["DONE"] and len(site.records("recover.end")) == 1
    site.ledger_holds()


def test_a_recovery_that_was_stopped_is_gone_on_with_and_never_begun_again(site: Site) -> None:
    tree = site.root / "spool"
    settled_file(tree / "0.wav", random.Random(1).randbytes(400_000))
    site.recordings(tree)
    plan = (site.root / "plans/p.yaml").read_text("utf-8")
    targets = f"targets:\n  recordings: {{directory: {site.root}/back}}\n"
    slow = "limits: {download: 200KiB}\n"
    site.write("plans/p.yaml", plan.replace("assets:\n", f"{slow}{targets}{RECOVERY}assets:\n", 1))
    site.backed_up()
    process = site.start("runbook", "run", "p")
    eventually(lambda: list((site.state / "recover").rglob("journal.jsonl")))
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    site.write("plans/p.yaml", plan.replace("assets:\n", f"{targets}{RECOVERY}assets:\n", 1))
    done = site.run("runbook", "resume", "p")
    assert done.code == 0 and set(states(done).values()) == {"done"}, done
    assert len(list((site.state / "recover").rglob("journal.jsonl"))) == 1
    assert [path.stat().st_size for path in (site.root / "back").rglob("*.wav")] == [400_000]


def test_looks_tell_dead_from_alive_and_a_question_by_sql_is_a_health_check(site: Site, source: Source) -> None:
    with small_database(source, "runbook_look") as database:
        site.crm(source, database)
        plan = (site.root / "plans/p.yaml").read_text("utf-8")
        steps = (
            "runbook:\n  look: {kind: check, of: sources}\n"
            '  calls: {kind: sql, asset: crm, query: "select count(*) from call", expect: 3000, within: 1s}\n'
            '  names: {kind: sql, asset: crm, query: "select max(name) from customer", expect: Ana, within: 1s}\n'
        )
        site.write("plans/p.yaml", plan.replace("assets:\n", f"{steps}assets:\n", 1))
        done = site.run("runbook", "run", "p")
        facts = {step["step"]: step["facts"] for step in done.json["steps"]}
        assert states(done) == {"look": "done", "calls": "done", "names": "failed"} and done.code == 1
        assert "it ANSWERS a question" in facts["look"]["crm"]
        assert "Ștefan" not in json.dumps(done.json) + json.dumps(site.records())  # nobody's data in a record
    gone = site.run("runbook", "run", "p", "--afresh", "--why", "the database is gone")
    facts = {step["step"]: step["facts"] for step in gone.json["steps"]}
    assert "it ANSWERS, and says no" in facts["look"]["crm"] and states(gone)["calls"] == "failed"
    plan = (site.root / "plans/p.yaml").read_text("utf-8")
    site.write("plans/p.yaml", plan.replace(f"host: {source.sockets}", f"host: {site.root}"))
    dead = site.run("runbook", "run", "p", "--afresh", "--why", "the server is gone")
    look = next(step["facts"]["crm"] for step in dead.json["steps"] if step["step"] == "look")
    assert "it answers no question" in look and "ANSWERS" not in look


MARIA_STEPS = """\
targets:
  crm: {{server: '{url}', password_file: crm.pw}}
runbook:
  calls: {{kind: sql, asset: crm, query: "select count(*) from `call`", expect: 3000, within: 1s}}
  nobody: {{kind: sql, asset: crm, query: "select max(id) from customer where id < 0", expect: null, within: 1s}}
  there: {{kind: sql, target: crm, query: "select count(*) = 202 from customer", expect: true, within: 1s}}
  elsewhere: {{kind: sql, server: {{server: '{url}', password_file: crm.pw}}, query: "select 'a'", expect: a, within: 1s}}
  look: {{kind: sql, asset: crm, query: "select nothing", expect: 1, look: true}}
  names: {{kind: sql, asset: crm, query: "select name from customer where id = 1", expect: Ana, within: 1s}}
  written: {{kind: sql, asset: crm, query: "insert into customer (name) values ('x') returning id", expect: 1, within: 1s}}
"""


def test_questions_by_sql_to_mariadb_its_source_its_target_and_another_server(site: Site, maria: MariaSource) -> None:
    with maria_database(maria, "runbook_sql") as database:
        maria_crm(site, maria, database)
        maria.sql(f"grant insert on {database}.* to ccdr_backup_{database}@localhost")
        url = f"mysql://ccdr_backup_{database}@/{database}?socket={maria.sockets}"
        plan = (site.root / "plans/p.yaml").read_text("utf-8")
        site.write("plans/p.yaml", plan.replace("assets:\n", f"{MARIA_STEPS.format(url=url)}assets:\n", 1))
        done = site.run("runbook", "run", "p")
        assert states(done) == {
            **dict.fromkeys(("calls", "nobody", "there", "elsewhere", "look"), "done"),
            "names": "failed",
            "written": "failed",
        }, done
        facts = {step["step"]: step["facts"] for step in done.json["steps"]}
        assert facts["look"]["answer"] != "answers as expected", facts
        assert maria.sql("select count(*) from customer", database) == "202", "nothing is written by a question"
        assert "Ștefan" not in json.dumps(done.json, ensure_ascii=False) + str(site.records())
