"""What each command prints with --json is as its published schema says: carried out on a tree of files, without Docker."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from tests.corpus import printed
from tests.support.copied import OTHER, copies_of
from tests.support.harness import Ran, Site
from tests.support.records import record_in
from tests.support.repositories import new_repository
from tests.support.schema import document_misfits as wrong
from tests.support.signed import key, signers
from tests.support.stored import settled_file

from ccdr.cli import main
from ccdr.cli.demo import _document
from ccdr.cli.documents import OUTPUTS, output_schema
from ccdr.demo.show import Shown
from ccdr.jobs.attest.storing import store
from ccdr.jobs.services import limits_of

SILENT = {"completion", "ship"}  # print no document
ACTING = {"recover"}  # with words below them, and by themselves
ELSEWHERE = {"demo", "runbook take-over"}  # needs Docker; needs a bucket: tests/faults/runbook


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return made(tmp_path_factory.mktemp("json"))


def made(root: Path) -> Site:
    new = Site(root)
    settled_file(root / "tree" / "a.wav", b"sound")
    new.recordings(root / "tree", extra="", checks=None)
    new.write("plans/urls", "json://127.0.0.1:1/\n", mode=0o600)
    plan = root / "plans/p.yaml"
    plan.write_text(
        plan.read_text().replace("assets:", f"notify: {{urls_file: urls}}\n{copies_of(new, 'far')}assets:", 1)
    )
    new_repository(root / "far", OTHER)
    return new


def another(root: Path) -> Site:
    """Another host, with one backup, and its ledger stored in its repository."""
    root.mkdir()
    other = Site(root)
    settled_file(root / "tree" / "a.wav", b"sound")
    other.recordings(root / "tree")
    other.backed_up()
    services, loaded = other.services(), other.loaded()
    store(services.repository(loaded, limits_of(loaded)), services)
    return other


def carried_out(site: Site) -> Iterator[tuple[str, Ran]]:
    """In this order: each uses what those before have made."""
    root, other = site.root, another(site.root / "other")
    (root / "lost").mkdir()
    given = [
        ("plan check", "plan check"), ("plan check", "plan check p"), ("plan show", "plan show p"), ("plan trust", "plan trust p"),
        ("plan schema", "plan schema"), ("plan schema", "plan schema --restore-test"), ("schema", "schema"),
        ("schema", "schema status"), ("ledger schema", "ledger schema"), ("ledger schema", "ledger schema backup.end"),
        ("backup", "backup p --dry-run"), ("test", "test p"), ("backup", "backup p"), ("test", "test p --dry-run"),
        ("test", "test p --negative-control --dry-run"), ("test", "test p --negative-control"),
        ("test", "test p"), ("backup", "backup nowhere"), ("status", "status p"), ("snapshots", "snapshots p"),
        ("restore", f"restore p --asset recordings --to {root}/back --dry-run"),
        ("restore", f"restore p --asset recordings --to {root}/back --yes-i-mean back"),
        ("restore", f"restore p --asset recordings --to {root}/back --yes-i-mean back"),
        ("copy", "copy p"), ("copy", "copy p --dry-run"), ("snapshots", "snapshots p --from far"),
        ("recover", f"recover p --under {root} --dry-run"),
        ("recover", f"recover p --under {root}/lost --yes-i-mean p"), ("recover check", "recover check p"),
        ("upkeep", "upkeep p"), ("upkeep", "upkeep"), ("run", "run p --dry-run"), ("run", "run p"), ("run", "run p"),
        ("doctor", "doctor p --only backups"), ("controls", "controls"), ("controls", "controls p"), ("report", "report"), ("report", f"report --out {root}/r.html"),
        ("kit page", "kit page"), ("kit page", f"kit page p --out {root}/kit.html"),
        ("bootstrap", f"bootstrap {root}/repo --password-file {root}/plans/key --into {root}/dr"),
        ("ledger show", "ledger show"), ("ledger verify", "ledger verify"), ("ledger key create", "ledger key create"),
        ("ledger key rotate", "ledger key rotate"), ("ledger key show", "ledger key show"),
        ("ledger checkpoint", "ledger checkpoint"),
        ("ledger proof", f"ledger proof RUN {root}/proof"), ("ledger verify", f"ledger verify {root}/proof"),
        ("ledger verify", f"ledger verify --pin {'0' * 64}"),
        ("ledger verify", "ledger verify --repository p"), ("ledger export", f"ledger export {root}/exported"),
        ("ledger export", f"ledger export {root}/part --plan p --dry-run"), ("ledger export", f"ledger export {root}/part --plan p"),
        ("ledger export", f"ledger export {root}/records.db --sqlite"),
        ("ledger verify", f"ledger verify {root}/part"),
        ("ledger verify", f"ledger verify {root}/exported"), ("ledger collect", f"ledger collect {root}/exported"),
        ("ledger collect", f"ledger collect {other.state}"),
        ("notify test", "notify test p"),
        ("notify test", "notify test p --dry-run"), ("ack", "ack --list"),
        ("attest", f"attest siem --statement s --evidence {root}/plans/p.yaml --until 30d"), ("attest", "attest --list"),
        ("attest", "attest siem --end --statement gone"), ("attest", "attest nothing"), ("status", "status"), ("sign-off", "sign-off --list"),
        ("pause", "pause p --for 1h --why x"), ("pause", "pause"), ("status", "status"), ("run", "run p"),
        ("pause", "pause p --end --dry-run"), ("pause", "pause p --end"), ("pause", "pause p --for 1h --why x --dry-run"),
        ("ack", "ack NEVER_SUCCEEDED --why x --until 2036-01-01"), ("discover", "discover p"),
        ("init", f"init {root}/tree --name begun --dry-run"), ("init", f"init {root}/tree --name begun"),
        ("sandbox reap", "sandbox reap --dry-run"), ("backup", "backup --no-such-option"),
    ]  # fmt: skip
    for command, line in given:
        if "RUN" in line:
            line = line.replace("RUN", next(r["run"] for r in site.records() if r["kind"] == "restore_test.end"))
        yield command, site.run(*line.split())
    shutil.rmtree(other.state / "ledger")
    other.run("backup", "p")  # which learns from the repository that there was one
    yield "ledger recover", other.run("ledger", "recover")
    yield from keys_carried_out(site)
    site.write("plans/wrong.yaml", "plan: wrong\n")
    yield "plan check", site.run("plan", "check")
    yield from incidents_carried_out(site)
    yield from deviations_carried_out(site)
    yield "status", site.run("status")
    yield "report", site.run("report")
    yield from runbook_carried_out(site)
    yield from erasures_carried_out(site)
    yield from approvals_carried_out(site)
    yield from access_carried_out(site)
    yield from keys_carried_out(site)


def keys_carried_out(site: Site) -> Iterator[tuple[str, Ran]]:
    """What a key takes time for, tests/faults/repository/test_keys.py carries out."""
    yield "repository key list", site.run("repository", "key", "list", "p")
    for verb, *args in (["add", "--generate", f"{site.root}/another.key"], ["remove", "KEY"], ["rotate"]):
        (key,) = (site.repo / "keys").iterdir()
        args = [key.name if one == "KEY" else one for one in args]
        yield f"repository key {verb}", site.run("repository", "key", verb, "p", *args, "--dry-run")
    path = site.root / "plans/p.yaml"
    plan = path.read_text("utf-8")
    site.write(
        "plans/bucket.yaml",
        plan.replace("plan: p", "plan: bucket").replace(
            f"url: {site.repo}", "url: 's3:http://127.0.0.1:1/b', lock: {keep: 35d, env_file: key}"
        ),
    )
    yield "lock extend", site.run("lock", "extend", "bucket", "--dry-run")
    (site.root / "plans/bucket.yaml").unlink()


def incidents_carried_out(site: Site) -> Iterator[tuple[str, Ran]]:
    receipt = str(site.root / "plans/p.yaml")
    yield "incident clocks", site.run("incident", "clocks")
    by_hand = ("incident", "open", "p", "--kind", "integrity", "--why", "x")
    yield "incident open", site.run(*by_hand, "--dry-run")
    opened = site.run(*by_hand)
    yield "incident open", opened
    name = opened.json["incident"]
    filed = ("--filed", "gdpr-33", "--receipt", receipt, "--text", "x")
    for verb, *args in (
        ["note", name, *filed],
        ["note", name, "--clock", "nis2-23"],
        ["note", name, "--not-due", "nis2-23", "--text", "x"],
        ["note", name, "--risk", "unlikely", "--risk-why", "x", "--persons", "x", "--records", "x"],
        ["draft", name, "--to", "authority"],
        ["draft", name, "--for", "nis2-23"],
        ["show", name],
        ["close", name, "--cause", "unknown", "--effects", "x", "--remedy", "x"],
        ["reopen", name, "--why", "x"],
        ["list"],
        ["register"],
        ["register", "--out", f"{site.root}/register.csv"],
    ):
        yield f"incident {verb}", site.run("incident", verb, *args)


def deviations_carried_out(site: Site) -> Iterator[tuple[str, Ran]]:
    """Of a test that failed; its risk is accepted by a text that is written to be signed."""
    body = {"verdict": "FAIL", "reason": "so it was", "snapshot": None, "phases": {}, "checks": [], "rto": None}
    more = {"sandbox": {}, "disposal": {}}
    ledger = site.services().ledger
    record_in(ledger, "restore_test.end", plan="p", asset="recordings", run="bad", body=body | more)
    listed = site.run("deviation", "list", "p", "--all")
    yield "deviation list", listed
    yield "deviation list", site.run("deviation", "list", "--from", "1d")
    name = next(one["deviation"] for one in listed.json["deviations"] if one["retest"] is None)
    yield "deviation show", site.run("deviation", "show", name)
    yield "deviation assign", site.run("deviation", "assign", name, "--owner", "ana@x", "--due", "9d")
    yield "deviation note", site.run("deviation", "note", name, "--cause", "x", "--action", "y")
    words = ("--accept", "--until", "9d", "--why", "x", "--write", f"{site.root}/risk")
    yield "deviation close", site.run("deviation", "close", name, *words)
    yield "deviation close", site.run("deviation", "close", name)
    yield "report", site.run("report")


def access_carried_out(site: Site) -> Iterator[tuple[str, Ran]]:
    path, out = site.root / "plans/p.yaml", f"{site.root}/access.json"
    plan = path.read_text("utf-8")
    site.write("plans/verify.env", "AWS_ACCESS_KEY_ID=x\n", mode=0o600)
    path.write_text(plan.replace("assets:", "access: {verify: {env_file: verify.env}}\nassets:", 1), "utf-8")
    for args in (["--dry-run"], []):
        yield "access test", site.run("access", "test", "p", *args)
    yield "access review", site.run("access", "review", "p", "--out", out)
    yield "access review", site.run("access", "review", "p", "--looked-at", out, "--found", "x")
    there = plan.replace(
        f"{{url: {site.root}/repo, password_file: key}}", "{url: 's3:https://s3.example/b/r', password_file: key}"
    )
    path.write_text(there, "utf-8")
    for args in ([], ["--role", "backup"], ["--server", "seaweedfs"]):
        yield "access policies", site.run("access", "policies", "p", *args)
    path.write_text(plan, "utf-8")


def approvals_carried_out(site: Site) -> Iterator[tuple[str, Ran]]:
    ana, path = key(site.root, "ana"), site.root / "plans/p.yaml"
    known = signers(site.root / "signers", {"ana@x": ana})
    plan = path.read_text("utf-8")
    path.write_text(plan.replace("assets:", f"approval: {{signers: {known}}}\nassets:", 1), "utf-8")
    for args in ([], ["--write", f"{site.root}/to-sign"], ["--key", str(ana)], []):
        yield "plan approve", site.run("plan", "approve", "p", *args)
    wanted = ("approval", "request", "p", "prune", "--key", str(ana), "--out", f"{site.root}/wanted")
    yield "approval request", site.run(*wanted)
    yield "upkeep", site.run("upkeep", "p", "--prune")
    yield "upkeep", site.run("upkeep", "p", "--prune", "--break-glass", "x")
    yield "approval review", site.run("approval", "review", "p")
    yield "approval review", site.run("approval", "review", "p", "--found", "x", "--key", str(ana))
    path.write_text(plan, "utf-8")
    over = ("--from", "9h", "--to", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "--signers", str(known))
    for more in ([], ["--write", f"{site.root}/to-sign-off"], ["--key", str(ana)], ["--key", f"{site.root}/none"]):
        yield "sign-off", site.run("sign-off", *over, *more)
    yield "sign-off", site.run("sign-off", "--list", "--signers", str(known))
    yield "report", site.run("report")


def runbook_carried_out(site: Site) -> Iterator[tuple[str, Ran]]:
    path = site.root / "plans/p.yaml"
    plan = path.read_text("utf-8")
    steps = "runbook:\n  a: {kind: command, argv: ['false']}\n  b: {kind: confirm, question: well}\n"
    path.write_text(plan.replace("assets:", f"{steps}assets:", 1), "utf-8")
    for verb, *args in (["show"], ["print"], ["run", "--dry-run"], ["run"], ["status"], ["retry", "a"]):
        yield f"runbook {verb}", site.run("runbook", verb, "p", *args)
    yield "runbook resume", site.run("runbook", "resume", "p", "--answer", "b=yes")
    yield "runbook skip", site.run("runbook", "skip", "p", "a", "--why", "it need not be")
    path.write_text(plan, "utf-8")


def erasures_carried_out(site: Site) -> Iterator[tuple[str, Ran]]:
    yield "erasure list", site.run("erasure", "list", "p")
    for number, more in enumerate(("", "canary: true\n")):
        selector = site.write("selector.yaml", f"asset: recordings\nfiles: [{number}.wav]\n{more}", mode=0o600)
        yield "erasure add", site.run("erasure", "add", "p", "--selector", str(selector))
    yield "erasure list", site.run("erasure", "list", "p")
    site.backed_up()
    yield "erasure prove", site.run("erasure", "prove", "p")
    to = ["--to", str(site.root / "glass"), "--yes-i-mean", "glass"]
    yield (
        "restore",
        site.run("restore", "p", "--asset", "recordings", *to, "--despite-erasures", "the canary is not there"),
    )
    stands = ["--to", str(site.root / "glass"), "--yes-i-mean", "p/recordings"]
    yield "erasure replay", site.run("erasure", "replay", "p", "--asset", "recordings", *stands)
    yield "erasure review", site.run("erasure", "review", "p", "--why", "nobody is in it")
    yield "erasure withdraw", site.run("erasure", "withdraw", "p", "e-000002", "--why", "never planted")


def test_each_command_prints_what_its_schema_says(site: Site) -> None:
    seen, bad, answers = set[str](), [], []
    for command, done in carried_out(site):
        assert done.json is not None, (command, done)
        bad += [(command, said, str(done)[:2000]) for said in wrong(command, done.json)]
        if "error" not in done.json:
            seen.add(command)
            answers.append((command, done.json))
    assert bad == []
    assert OUTPUTS.keys() - seen == ELSEWHERE, "answered by nothing but an error"
    now, kept = ({*text.splitlines()} for text in (printed.keys(answers), printed.HERE.read_text()))
    how = "is it meant? `python -m tests.corpus.printed` writes it: docs/extending.md, What others read"
    assert (sorted(now - kept), sorted(kept - now)) == ([], []), how


def test_the_demos_document_is_as_its_schema_says(site: Site) -> None:
    """Its parts are those of backups and tests, which are carried out above."""
    assert wrong("demo", _document(Shown(site.root, site.loaded(), seconds=1.5))) == []


def test_a_document_that_is_another_is_told() -> None:
    """The healthy twin is every document above."""
    good = {"checked": ["p"], "problems": [], "lint": []}
    assert wrong("plan check", good) == []
    assert wrong("plan check", good | {"more": 1}) and wrong("plan check", {"checked": ["p"]})
    assert wrong("plan check", {"error": "x", "hint": None, "exit": 2}) == []


def test_each_command_that_takes_json_has_a_schema() -> None:
    def verbs(group: click.Group, before: str = "") -> Iterator[str]:
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                yield from verbs(command, f"{before}{name} ")
            if not isinstance(command, click.Group) or name in ACTING:
                yield f"{before}{name}"

    assert set(verbs(main)) - SILENT == set(OUTPUTS)


def test_each_schema_names_all_that_it_refers_to(tmp_path: Path) -> None:
    for command in OUTPUTS:
        schema = output_schema(command)
        assert schema["$id"].startswith("urn:ccdr:output:") and "Error" in schema["$defs"]
        assert all(one["$ref"].removeprefix("#/$defs/") in schema["$defs"] for one in schema["anyOf"])
