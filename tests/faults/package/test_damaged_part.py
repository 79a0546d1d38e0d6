"""What somebody does to a package of a part, digests and all, and that it is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.packages import Exporting, made, sealed, told_otherwise
from tests.unit.package.test_part import lived_on

from ccdr.cli.ledger.package import OF_WHAT_IS_SHOWN

Change = Callable[[list[bytes]], list[bytes]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exporting:
    exporting = made(tmp_path_factory.mktemp("part"))
    begin, end = lived_on(exporting)
    assert exporting.export("--from", begin, "--to", end).code == 0
    assert exporting.by_pin() == (0, OF_WHAT_IS_SHOWN, []), "the healthy twin"
    return exporting


def hidden_run(package: Path) -> None:
    """A test that failed becomes hashes, as if it were another's: the tree still fits."""
    from ccdr.evidence.checkpoints.checkpoint import leaf_hash
    from ccdr.evidence.package.lines import Stretches

    (lines,) = package.glob("data/ledgers/*/000000000001.jsonl")
    tree = lines.with_name("tree.jsonl")
    shown, stretches, made_tree, kept = (
        iter(lines.read_bytes().splitlines(keepends=True)),
        Stretches(),
        list[bytes](),
        list[bytes](),
    )
    for text in tree.read_bytes().splitlines():
        stretch = json.loads(text)
        if "hashes" in stretch:
            made_tree += stretches.close()
            made_tree.append(text + b"\n")
            stretches.size = stretch["hashes"][1]
            continue
        for _ in range(stretch["lines"][1] - stretch["lines"][0] + 1):
            line = next(shown)
            if b'"run":"e4"' in line:
                made_tree += stretches.hide(leaf_hash(line))
            else:
                made_tree += stretches.keep()
                kept.append(line)
        made_tree += stretches.close()
    lines.write_bytes(b"".join(kept))
    tree.write_bytes(b"".join(made_tree))


def lines_changed(change: Change) -> Callable[[Path], None]:
    def do(package: Path) -> None:
        (path,) = package.glob("data/ledgers/*/000000000001.jsonl")
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return do


def tree_changed(change: Change) -> Callable[[Path], None]:
    def do(package: Path) -> None:
        (path,) = package.glob("data/ledgers/*/tree.jsonl")
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return do


def a_node_is_another(lines: list[bytes]) -> list[bytes]:
    for number, line in enumerate(lines):
        if b"hashes" in line:
            stretch = json.loads(line)
            stretch["nodes"][0][1] = "A" * 43 + "="
            lines[number] = json.dumps(stretch).encode() + b"\n"
            break
    return lines


def beside(package: Path) -> None:
    """As if all of it were here: whoever reads the package by other means reads these."""
    (lines,) = package.glob("data/ledgers/*/000000000001.jsonl")
    lines.with_name("000000000002.jsonl").write_bytes(lines.read_bytes().replace(b'"FAIL"', b'"PASS"'))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a line is changed": (lines_changed(lambda ls: [one.replace(b'"PASS"', b'"FAIL"') for one in ls]), "CHECKPOINT_CONTRADICTED"),
    "a line is gone": (lines_changed(lambda ls: ls[:-1]), "PACKAGE_TREE_WRONG"),
    "a line is added": (lines_changed(lambda ls: [*ls, ls[-1]]), "PACKAGE_TREE_WRONG"),
    "lines change places": (lines_changed(lambda ls: [*ls[:-2], ls[-1], ls[-2]]), "CHAIN_BROKEN"),
    "a hash is another": (tree_changed(a_node_is_another), "CHECKPOINT_CONTRADICTED"),
    "a stretch is gone": (tree_changed(lambda ls: ls[1:]), "PACKAGE_TREE_WRONG"),
    "the last stretch is gone": (tree_changed(lambda ls: ls[:-1]), "RECORDS_CUT_OFF"),
    "the tree is none": (tree_changed(lambda ls: [b"[" * 100_000 + b"\n"]), "PACKAGE_TREE_WRONG"),
    "the tree has words in it": (tree_changed(lambda ls: [ls[0][:-2] + b', "well": true}\n', *ls[1:]]), "PACKAGE_TREE_WRONG"),
    "the tree is of no number": (tree_changed(lambda ls: [b'{"lines": [1, Infinity]}\n']), "PACKAGE_TREE_WRONG"),
    "other lines lie beside it": (beside, "PACKAGE_FILE_EXTRA"),
    "the id is another": (lambda p: next(p.glob("data/ledgers/*/id")).write_text("0" * 32), "PACKAGE_LEDGER_WRONG"),
    "a run of the period is hidden": (hidden_run, "PACKAGE_INFO_WRONG"),
    "its plans are others": (lambda p: told_otherwise(p, "Ccdr-Plans", "q"), "PACKAGE_INFO_WRONG"),
    "its period is another": (lambda p: told_otherwise(p, "Ccdr-Period-To", "2020-01-01T00:00:00Z"), "NOT_AS_RECORDED"),
    "the tree is gone": (lambda p: next(p.glob("data/ledgers/*/tree.jsonl")).unlink(), "PACKAGE_INFO_WRONG"),
    "the lines are gone": (lambda p: next(p.glob("data/ledgers/*/000000000001.jsonl")).unlink(), "PACKAGE_FILE_MISSING"),
}  # fmt: skip


def test_a_part_of_other_plans_than_it_shows_names_each_record(exported: Exporting) -> None:
    """Its report, made anew of the plans that it names, would say nothing of the one that fails."""
    package = exported.damaged("of-another-plan")
    told_otherwise(package, "Ccdr-Plans", "q")
    done = exported.world.site.run("ledger", "verify", str(package))
    (lines,) = package.glob("data/ledgers/*/000000000001.jsonl")
    of_p = {one["seq"] for one in map(json.loads, lines.read_bytes().splitlines()) if one["plan"] == "p"}
    wrong = {one["record"] for one in done.json["findings"] if one["code"] == "PACKAGE_INFO_WRONG"}
    assert done.code == 1 and of_p and wrong == of_p, done


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_part_that_was_changed_with_its_digests_is_a_finding(exported: Exporting, damage: str) -> None:
    do, code = DAMAGES[damage]
    package = exported.damaged(damage.replace(" ", "-"))
    do(package)
    sealed(package)
    found = exported.by_pin(package)
    assert found[0] == 1 and code in found[2], found
