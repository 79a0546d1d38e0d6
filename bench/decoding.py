"""What reading each record of a ledger of years costs: as a mapping, and typed; by bench/records.py's ledger.

.venv/bin/python bench/records.py --work DIR; .venv/bin/python bench/decoding.py DIR [--rounds 3]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import orjson

from ccdr.evidence.ledger.ledger import line_as_record
from ccdr.evidence.records import KINDS, decode
from ccdr.model.values import utc


def mapping(line: bytes) -> object:
    """As `Ledger.records` reads it, with its time: strictly, and not compared with its kind's definition."""
    record = line_as_record(line)
    return record, utc(record["time"])


def trusting(line: bytes) -> object:
    """As one process folds what another verifies: a key that is given twice is not seen."""
    record = orjson.loads(line)
    return record, utc(record["time"])


def values_alone(line: bytes) -> object:
    """The same, typed."""
    at = line.index(b'","kind":"') + 10
    return _DECODERS[line[at : line.index(b'"', at)]](line)


_DECODERS = {kind.encode(): msgspec.json.Decoder(definition).decode for kind, definition in KINDS.items()}
WAYS: dict[str, Callable[[bytes], object]] = {
    "mapping, strict": mapping,
    "typed, strict": decode,
    "mapping, trusting": trusting,
    "typed, trusting": values_alone,
}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("work", type=Path)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    held = [line for path in sorted((given.work / "state/ledger").glob("*.jsonl")) for line in path.open("rb")]
    size = sum(map(len, held)) / 1e6
    print(f"{len(held)} records, {size:.0f} MB; seconds of processor time, the best of {given.rounds}")
    for name, way in WAYS.items():
        taken = []
        for _ in range(given.rounds):
            began = time.process_time()
            for line in held:
                way(line)
            taken.append(time.process_time() - began)
        print(f"{name:20} {min(taken):.2f}  {min(taken) / len(held) * 1e6:.1f} µs a record", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
