"""What others read of ccdr, one of each, written beside this file, or below another directory:
`python -m tests.corpus.make [DIR]`.

Clock, names and keys are fixed (host.py), so the same program writes the same bytes. tests/unit/test_corpus.py makes
all of it anew and compares.
"""

from __future__ import annotations

import atexit
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct, inspect

from ccdr.cli.documents import _WITHIN, OUTPUTS, Error, _parts
from ccdr.evidence.checkpoints.checkpoint import VerifierKey
from ccdr.evidence.checkpoints.keys import statement
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.records import KINDS
from ccdr.evidence.records.statements import STATEMENT, TABLE
from ccdr.plans import plan_schema, restore_test_schema
from tests.corpus.host import NOW, TENANT, Lived, fix
from tests.support.clocks import Clock
from tests.support.records import body_of, record_in, record_kind, some
from tests.support.sparse import sparse_record

HERE = Path(__file__).absolute().parent

Files = Iterator[tuple[str, bytes]]


def records() -> Files:
    """One line of each kind, the first of a ledger, every key with a value."""
    for kind in [kind for kind in KINDS if kind != STATEMENT] + list(TABLE):
        with tempfile.TemporaryDirectory() as made:
            ledger = Ledger(Path(made) / "ledger", Clock(NOW), host="db1", actor="alice")
            record_in(ledger, record_kind(kind), plan="plan", asset="asset", run="run", body=body_of(kind))
            yield f"{kind}.jsonl", next(ledger.directory.glob("*.jsonl")).read_bytes()


def documents() -> Files:
    """Each type that a command prints with `--json`, every key with a value; which command prints which; all codes."""
    for one in printed():
        yield f"{one.__name__}.json", as_printed(some(inspect.type_info(one)))
    yield "commands.json", as_printed({name: [one.__name__ for one in of] for name, of in sorted(OUTPUTS.items())})
    parts = [
        (name, key, about) for name, of in _parts().items() for key, about in of.get("properties", {"": of}).items()
    ]
    keys = ((f"{name}.{key}".removesuffix("."), about) for name, key, about in parts)
    codes = sorted(f"{key}: {', '.join(found)}\n" for key, about in keys if (found := list(_codes(about))))
    yield "codes.txt", "".join(codes).encode()


def _codes(part: Any) -> Iterator[str]:
    """All that a key takes, where that is one of some words."""
    if isinstance(part, list):
        for one in part:
            yield from _codes(one)
    elif isinstance(part, dict):
        yield from map(str, part.get("enum", ()))
        for one in part.values():
            yield from _codes(one)


def printed() -> set[type[Struct]]:
    return {*(one for of in OUTPUTS.values() for one in of), *_WITHIN, Error}


def as_printed(document: object) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def signed() -> Files:
    """Each text that is signed, but for checkpoints and statements of tests, which lie in the package."""
    for kind, row in ((kind, row) for kind, row in TABLE.items() if row.signed is not False):
        one = row.recorded(sparse_record({"plan": "plan", "kind": STATEMENT, **body_of(kind)}))
        yield f"{row.to.replace(' ', '-')}.txt", one.text().encode()
    new, old = (VerifierKey("db1", bytes([number]) * 32) for number in (1, 2))
    yield "ledger-key.txt", statement("ledger", new, old).encode()


def plan_keys() -> Files:
    """Every key of a plan and of a restore test, with what it takes."""
    for name, schema in (("plan", plan_schema()), ("restore_test", restore_test_schema())):
        lines = sorted(set(_keys(schema, schema["$defs"], "")))
        yield f"{name}.txt", "".join(f"{line}\n" for line in lines).encode()


def _keys(part: Mapping[str, Any], defs: Mapping[str, Any], at: str) -> Iterator[str]:
    """`path: what it takes`; `*` is any name, `engine=…` the kind of an asset, `[]` one of a list."""
    if "$ref" in part:
        yield from _keys(defs[part["$ref"].rpartition("/")[2]], defs, at)
    elif "discriminator" in part:
        by = part["discriminator"]["propertyName"]
        for kind, ref in part["discriminator"]["mapping"].items():
            yield from _keys({"$ref": ref}, defs, f"{at}({by}={kind})")
    else:
        for one in (*part.get("anyOf", ()), *part.get("oneOf", ())):
            yield from _keys(one, defs, at)
        if isinstance(part.get("items"), dict):
            yield from _keys(part["items"], defs, f"{at}[]")
        for held in (*part.get("patternProperties", {}).values(), part.get("additionalProperties")):
            if isinstance(held, dict):
                yield from _keys(held, defs, f"{at}.*")
        for key, about in part.get("properties", {}).items():
            path = f"{at}.{key}" if at else key
            takes = json.dumps(_taken(about), ensure_ascii=False)
            yield f"{path}: {takes}{', required' if key in part.get('required', ()) else ''}"
            yield from _keys(about, defs, path)


def _taken(about: Any) -> Any:
    """Without words for people, and without what has keys of its own."""
    if isinstance(about, list):
        return [_taken(one) for one in about]
    if not isinstance(about, dict):
        return about
    return {key: _taken(value) for key, value in about.items() if key not in _LEFT_OUT}


_LEFT_OUT = ("description", "title", "examples", "discriminator", "$ref")


def answers() -> Files:
    """What commands print with `--json`, by their words, without the digests."""
    host, known = lived(), dict[str, str]()
    host.tested("t3", 2, "FAIL")
    for line in ANSWERED:
        said = host.run(*(known.get(word, word) for word in line.split()))
        if line in LISTING:
            listed, name = LISTING[line]
            known[name.upper()] = json.loads(said)[listed][-1][name]
        yield f"{re.sub('[^A-Za-z0-9_]+', '-', line)}.json", DIGESTS.sub("(a digest)", said).encode()


LISTING = {"deviation list p --all": ("deviations", "deviation"), "incident list": ("incidents", "incident")}


def answered() -> set[str]:
    """The commands that answer so."""
    return {max((one for one in OUTPUTS if f"{line} ".startswith(f"{one} ")), key=len) for line in ANSWERED}


# Of what was written before: each would change with any of it. Signatures of people, and the size of a package, too.
DIGESTS = re.compile(
    r"\b[0-9a-f]{64}\b|\b[0-9a-f]{8}\b|[A-Za-z0-9+/]{43}=(?!=)|[A-Za-z0-9+/]{86,92}==?"
    r"|(?<=-----BEGIN SSH SIGNATURE-----)[^-]+|(?<=Payload-Oxum: )\d+|(?<=Payload-Oxum\": \")\d+"
)
ANSWERED = """
plan check
plan show p
plan trust p
status
controls p
report
backup p --dry-run
test p --dry-run
test p --negative-control --dry-run
run p --dry-run
lock extend p --dry-run
notify test p --dry-run
kit page p --out kit.html
ledger show
ledger verify
ledger key show
ledger checkpoint
ledger proof t1 proof
ledger verify proof
ledger export exported
ledger verify exported
ledger export part --tenant acme --dry-run
ledger key rotate
ack REPOSITORY_NEAR --why x --until 2026-12-01
ack --list
attest siem --statement s --evidence plans/p.yaml --until 30d
attest --list
attest siem --end --statement gone
sign-off --list
sign-off --from 2d --to 2026-11-24T04:00:00Z
pause p --for 1h --why x --dry-run
pause p --for 1h --why x
pause
pause p --end --dry-run
pause p --end
access policies p
access policies p --role backup
access policies p --server seaweedfs
access test p --dry-run
approval review p
incident clocks
incident open p --kind integrity --why x --dry-run
incident open p --kind integrity --why x
incident list
incident note INCIDENT --filed gdpr-33 --receipt plans/p.yaml --text x
incident draft INCIDENT --to authority
incident show INCIDENT
incident close INCIDENT --cause unknown --effects x --remedy x
incident reopen INCIDENT --why x
incident register
incident register --out register.csv
deviation list p --all
deviation show DEVIATION
deviation assign DEVIATION --owner ana@x --due 9d
deviation note DEVIATION --cause x --action y
deviation close DEVIATION --accept --until 9d --why x --write risk
runbook show p
runbook print p
runbook run p --dry-run
runbook run p
runbook status p
runbook retry p start
runbook skip p start --why x
runbook resume p --answer well=yes
""".strip().splitlines()


def package() -> Files:
    """Every file of a package of a whole ledger."""
    yield from lived().exported().items()


def package_in_part() -> Files:
    """What is otherwise in a package of one tenant's records: lines that it has not are hashes in it."""
    part = lived().exported("--tenant", TENANT)
    names = [name for name in part if name.endswith(("000000000001.jsonl", "tree.jsonl", "bag-info.txt", "LIMITS.txt"))]
    yield from ((name, part[name]) for name in names)


def metrics() -> Files:
    """Every metric, as the file for Prometheus has it."""
    yield "ccdr.prom", lived().metrics()


def lived() -> Lived:
    """Another one each time."""
    place = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, place)
    host = Lived(place, Clock(NOW))
    host.vouched_for()
    return host


PARTS: tuple[Callable[[], Files], ...] = (
    records,
    documents,
    signed,
    plan_keys,
    answers,
    package,
    package_in_part,
    metrics,
)


def kept(root: Path = HERE) -> dict[str, bytes]:
    """All of it, by path, as it lies there."""
    paths = (path for part in PARTS for path in (root / part.__name__).rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def write(root: Path) -> None:
    made = {f"{part.__name__}/{name}": contents for part in PARTS for name, contents in part()}
    for part in PARTS:
        shutil.rmtree(root / part.__name__, ignore_errors=True)
    for name, contents in made.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(contents)


if __name__ == "__main__":
    root = Path(sys.argv[1]).absolute() if sys.argv[1:] else HERE
    fix()
    write(root)
