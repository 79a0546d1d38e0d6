"""What others read of ccdr is as it lies in tests/corpus/, byte for byte."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

import pytest
from tests.corpus.make import ANSWERED, DIGESTS, HERE, PARTS, answered, kept, printed

from ccdr.cli.documents import OUTPUTS
from ccdr.evidence.records import KINDS
from ccdr.evidence.records.statements import STATEMENT, TABLE
from ccdr.telling.metrics import METRICS


def made(root: Path) -> dict[str, bytes]:
    """By a process of its own, in which nothing is as it was in ours."""
    argv = [sys.executable, "-m", "tests.corpus.make", str(root)]
    done = subprocess.run(argv, cwd=HERE.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return kept(root)


def changes(old: dict[str, bytes], new: dict[str, bytes]) -> str:
    """From what is kept to what is made now. What is only a digest of something else is named, and no more."""
    apart = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    told = {name: list(_diff(name, old.get(name), new.get(name))) for name in apart}
    digests = [name for name in apart if not told[name]]
    lines = [line for name in apart for line in told[name]]
    return "\n".join([*lines, *(f"digests alone: {name}" for name in digests)])


def _diff(name: str, old: bytes | None, new: bytes | None) -> Iterator[str]:
    before, after = ([] if one is None else list(_lines(one)) for one in (old, new))
    return unified_diff(before, after, f"kept/{name}", f"made/{name}", n=1, lineterm="")


def _lines(contents: bytes) -> Iterator[str]:
    """Without digests; what is one long line, a key a line."""
    for line in DIGESTS.sub("(a digest)", contents.decode("utf-8", "replace")).splitlines():
        yield from re.split(r'(?<=[,{\[]) ?(?=["{])', line) if len(line) > LONG else [line]


LONG = 200  # characters
# They ask restic, Docker, a bucket, OpenSSH, or this very machine: their types are there, and the keys that they print
# (printed.txt).
ELSEWHERE = {
    "access review",
    "approval request",
    "bootstrap",
    "copy",
    "demo",
    "discover",
    "doctor",
    "erasure add",
    "erasure list",
    "erasure prove",
    "erasure replay",
    "erasure review",
    "erasure withdraw",
    "init",
    "ledger collect",
    "ledger key create",
    "ledger recover",
    "ledger schema",
    "plan approve",
    "plan schema",
    "recover",
    "recover check",
    "repository key add",
    "repository key list",
    "repository key remove",
    "repository key rotate",
    "restore",
    "runbook take-over",
    "sandbox reap",
    "schema",
    "snapshots",
    "upkeep",
}


def test_what_others_read_is_as_the_corpus_has_it(tmp_path: Path) -> None:
    if found := changes(kept(), made(tmp_path)):
        how = "Whoever reads ccdr's files has to follow this. Is it meant? docs/extending.md, What others read"
        pytest.fail(f"{found}\n\n{how}", pytrace=False)


def test_one_of_each_is_there() -> None:
    """By the registries, and by the types themselves: what is not made of them cannot be left out either."""
    there = kept()
    of = {part.__name__: {name for name in there if name.startswith(f"{part.__name__}/")} for part in PARTS}
    kinds = (KINDS.keys() - {STATEMENT}) | TABLE.keys()
    assert of["records"] == {f"records/{kind}.jsonl" for kind in kinds}
    names = [f"documents/{one.__name__}.json" for one in printed()]
    assert of["documents"] == {"documents/commands.json", "documents/codes.txt", *names} and len({*names}) == len(names)
    assert json.loads(there["documents/commands.json"]).keys() == OUTPUTS.keys()
    assert OUTPUTS.keys() - answered() == ELSEWHERE and len(of["answers"]) == len(ANSWERED)
    texts = {f"signed/{one.to.replace(' ', '-')}.txt": one for one in TABLE.values() if one.signed is not False}
    assert of["signed"] == {"signed/ledger-key.txt", *texts}
    assert all(one.read(there[name].decode()).text().encode() == there[name] for name, one in texts.items())
    numbers = there["metrics/ccdr.prom"].decode()
    assert re.findall("(?m)^# TYPE ([a-z_]+) ", numbers) == list(METRICS)
    assert all(re.search(f"(?m)^{name}[ {{]", numbers) for name in METRICS), "each has a value"
