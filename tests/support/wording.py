"""What ccdr says, pinned once: `assert told == wording` compares with `snapshots/<folder>.ambr` beside the tests.

`pytest tests/unit --snapshot-update` renews them; read what it changed (docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from syrupy.data import Snapshot
from syrupy.extensions.amber import AmberDataSerializer, AmberSnapshotExtension
from syrupy.location import PyTestLocation

TESTS = Path(__file__).parents[1]


def lines_with(text: str | Iterable[object], *marks: str) -> list[str]:
    """Of a text, or of sentences, the lines with all of `marks`: codes, fields, names, numbers. Without any: FAILED."""
    found = text.splitlines() if isinstance(text, str) else [str(one) for one in text]
    told = [one.strip() for one in found if all(mark in one for mark in marks)]
    assert told, (marks, text)
    return told


class _ByModule(AmberDataSerializer):
    @classmethod
    def snapshot_sort_key(cls, snapshot: Snapshot, name_order: dict[str, int] | None = None) -> Any:
        return snapshot.name.rpartition(" (")[2].partition(")")[0], snapshot.name


class Wording(AmberSnapshotExtension):
    """One file a folder of tests; a snapshot has the name of its test and, in brackets, of its module."""

    serializer_class = _ByModule

    def serialize(self, data: Any, **kwargs: Any) -> str:
        said = super().serialize(data, **kwargs)
        assert "pytest-of-" not in said, f"a path of this run alone: {said}"
        return said

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        return str(TESTS / Path(test_location.filepath).relative_to(TESTS).parts[0] / "snapshots")

    @classmethod
    def get_file_basename(cls, *, test_location: PyTestLocation, index: int | str) -> str:
        return Path(test_location.filepath).parent.name

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: int | str = 0) -> str:
        if isinstance(index, str):  # one for all parameters of a test
            return f"{test_location.methodname} ({test_location.basename}): {index}"
        return f"{test_location.snapshot_name} ({test_location.basename})" + (f".{index}" if index else "")

    @classmethod
    def matches_test_location(cls, *, test_location: PyTestLocation, snapshot_location: str) -> bool:
        return cls.get_location(test_location=test_location, index=0) == snapshot_location
