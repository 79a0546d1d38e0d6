"""A package with another host's ledger: what somebody does to that one, which no anchor of its own holds."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.packages import Exporting, made, sealed, told_otherwise
from tests.support.recorded import backup
from tests.support.sparse import append_sparse

from ccdr.evidence.checkpoints.checkpoint import leaf_hash
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.comparison import beginning
from ccdr.evidence.package import statements
from ccdr.evidence.package.lines import Stretches
from ccdr.evidence.records.reading import decode
from ccdr.host.state import State
from ccdr.jobs import in_force
from ccdr.jobs.attest.other_ledgers import collect
from ccdr.jobs.checkpoints.creation import current, make, private_of


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exporting:
    """Its newest restore test, at another host, failed; then that one's ledger was collected, and ours anchored."""
    root = tmp_path_factory.mktemp("beside")
    exporting = made(root)
    clock, other = exporting.world.clock, State(root / "other")
    ledger = Ledger(other.ledger, clock, host="db2", actor="a", begin=beginning(other, "db2"))
    backup(ledger, "o1", "recordings")
    append_sparse(ledger, "restore_test.start", plan="p", asset="recordings", run="o2", body={"selection": "latest"})
    checks = [{"kind": "identical", "name": "identical", "status": "FAIL"}]
    body = {"verdict": "FAIL", "snapshot": {"id": "recordings-b3", "verdict": "FAIL"}, "checks": checks}
    append_sparse(ledger, "restore_test.end", plan="p", asset="recordings", run="o2", body=body)
    for n in range(3, 6):
        backup(ledger, f"o{n}", "recordings")
    clock.on(hours=1)
    collect(root / "other", exporting.services)
    clock.on(hours=1)
    exporting.anchor.write_bytes(make(exporting.services).checkpoint.contents)
    assert exporting.export().code == 0
    assert exporting.by_pin() == (0, "verified", []), "the healthy twin"
    return exporting


def others(package: Path) -> Path:
    info = (package / "bag-info.txt").read_text()
    (directory,) = (path for path in package.glob("data/ledgers/*") if f"Ccdr-Ledger: {path.name}" not in info)
    return directory


def text_of(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.glob("*.jsonl")))


def forged(exporting: Exporting, package: Path) -> None:
    """All but its last line are written anew, behind a hash that hides where they come apart."""
    directory = others(package)
    lines = text_of(directory).splitlines(keepends=True)
    better, prev = list[bytes](), "0" * 64
    for line in lines[:-2]:
        record = json.loads(line) | {"prev": prev}
        text = json.dumps(record, separators=(",", ":"), ensure_ascii=False).replace('"FAIL"', '"PASS"')
        better.append(text.encode() + b"\n")
        prev = sha256(better[-1]).hexdigest()
    stretches, tree = Stretches(), list[bytes]()
    for _ in better:
        tree += stretches.keep()
    tree += [*stretches.hide(leaf_hash(lines[-2])), *stretches.keep(), *stretches.close()]
    for path in directory.glob("*.jsonl"):
        path.unlink()
    (directory / "000000000001.jsonl").write_bytes(b"".join([*better, lines[-1]]))
    (directory / "tree.jsonl").write_bytes(b"".join(tree))
    tests = statements.Tests(directory.name, ours=False)
    known = current(exporting.services)
    assert known is not None
    key = private_of(exporting.services.state, known.key)
    for line in better:
        if made_ := tests.take(decode(line), sha256(line).hexdigest()):
            (package / "data/tests" / made_[0]).write_bytes(statements.envelope(made_[1], key))


def info_changed(package: Path, old: str, new: str) -> None:
    path = package / "bag-info.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_lines_of_another_ledger_that_its_last_line_does_not_chain_are_not_proven(exported: Exporting) -> None:
    package = exported.damaged("forged")
    forged(exported, package)
    name, shown = others(package).name, len((others(package) / "000000000001.jsonl").read_bytes().splitlines())
    info_changed(package, f"{name}={shown + 1}/{shown + 1}", f"{name}={shown}/{shown + 1}")
    info_changed(package, "Ccdr-Scope: whole", "Ccdr-Scope: part")
    sealed(package)
    assert exported.by_pin(package)[0] == 1


def counted_anew(package: Path) -> None:
    """As whoever takes a ledger out, or puts one in, makes the bag fit."""
    own = next(line for line in (package / "bag-info.txt").read_text().splitlines() if line.startswith("Ccdr-Ledger: "))
    ours = own.removeprefix("Ccdr-Ledger: ")
    names = sorted((one.name for one in package.glob("data/ledgers/*")), key=lambda one: (one != ours, one))
    counts = {name: len(text_of(package / "data/ledgers" / name).splitlines()) for name in names}
    told_otherwise(package, "Ccdr-Records", " ".join(f"{name}={n}/{n}" for name, n in counts.items()))


@pytest.mark.parametrize("do", ["taken out", "put in", "in the place of ours"])
def test_the_ledgers_of_a_package_are_those_that_were_taken_in(exported: Exporting, do: str) -> None:
    """Each by its own record: else a host's failures could be left out, or another's told as ours."""
    package = exported.damaged(do.replace(" ", "-"))
    directory = others(package)
    if do == "taken out":
        shutil.rmtree(directory)
        shutil.rmtree(package / "data/checkpoints" / directory.name, ignore_errors=True)
        for path in package.glob(f"data/tests/{directory.name[:8]}.*"):
            path.unlink()
    elif do == "put in":
        new = directory.with_name("0123456789abcdef" * 2)
        new.mkdir()
        record = json.loads(text_of(directory).splitlines()[0]) | {"ledger": new.name}
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        (new / "000000000001.jsonl").write_bytes(line)
        (new / "id").write_text(f"{new.name}\n")
    else:
        told_otherwise(package, "Ccdr-Ledger", directory.name)
    counted_anew(package)
    found = exported.by_pin(package)
    assert found[0] == 1 and "PACKAGE_LEDGER_WRONG" in found[2], found


def test_a_plans_text_is_that_of_its_digest_whatever_a_later_record_says(exporting: Exporting) -> None:
    site, services = exporting.world.site, exporting.services
    in_force.record(site.loaded(), services)
    (record,) = site.records("plan.version")
    fake, name = b"plan: p\n# tested hourly\n", "plans/p.yaml"
    body = {key: record[key] for key in ("digest", "predecessor", "facts")}
    body["files"] = {**record["files"], name: sha256(fake).hexdigest()}
    append_sparse(services.ledger, "plan.version", plan="p", asset=None, run=None, body=body)
    exporting.anchor.write_bytes(make(services).checkpoint.contents)
    assert exporting.export().code == 0
    assert exporting.by_pin() == (0, "verified", []), "the healthy twin"
    text = exporting.package / "data/plans/p" / record["digest"] / name
    assert text.read_bytes() != fake
    text.write_bytes(fake)
    sealed(exporting.package)
    found = exporting.by_pin()
    assert found[0] == 1 and "PLAN_TEXT_WRONG" in found[2], found


def test_a_package_that_is_collected_leads_nowhere_else(exporting: Exporting) -> None:
    exporting.export()
    (elsewhere,) = exporting.package.glob("data/ledgers/*")
    elsewhere.rename(exporting.root / "elsewhere")
    told_otherwise(exporting.package, "Ccdr-Ledger", "../../../elsewhere")
    (exporting.root / "auditor").mkdir()
    site = Site(exporting.root / "auditor")
    done = site.run("ledger", "collect", str(exporting.package))
    assert done.code == 2 and "does not say which ledger it is of" in done.json["error"], done
