"""anchors.yaml: what it says, and each mistake with its line."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ccdr.model.errors import PlanInvalid
from ccdr.plans.anchors import anchors_beside, anchors_schema, example, load_anchors
from ccdr.telling.anchoring import KINDS

WELL = """\
anchors:
  - {name: tsa, kind: rfc3161, url: "http://tsa.example/tsr", ca_file: tsa-ca.pem}
  - {name: auditor, kind: told, urls_file: auditor.urls, every: 7d}
  - {name: bucket, kind: object_lock, url: "s3:https://s3.example/evidence", env_file: evidence.env}
"""


def test_each_kind_with_its_own_default(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "anchors.yaml").write_text(WELL)
    tsa, auditor, bucket = anchors_beside(tmp_path / "plans")
    assert (tsa.interval, auditor.interval, bucket.interval) == (
        timedelta(days=1),
        timedelta(days=7),
        timedelta(hours=1),
    )
    assert bucket.overdue_after == timedelta(hours=3)
    assert getattr(tsa, "ca_file") == tmp_path / "tsa-ca.pem"  # noqa: B009 - of a union
    assert len({one.where_sha256 for one in (tsa, auditor, bucket)}) == 3


def test_without_a_file_there_are_none_and_the_example_has_none_either(tmp_path: Path) -> None:
    assert not anchors_beside(tmp_path / "plans")
    (tmp_path / "anchors.yaml").write_bytes(example())
    assert not load_anchors(tmp_path / "anchors.yaml")
    (tmp_path / "anchors.yaml").write_text(
        example().decode().replace("anchors: []", "anchors:").replace("\n#  ", "\n  ")
    )
    assert {one.kind for one in load_anchors(tmp_path / "anchors.yaml")} >= set(KINDS)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{name: a, kind: rfc3162, url: 'https://x/', ca_file: c}", "did you mean rfc3161"),
        ("{name: a, kind: rfc3161, url: 'ftp://x/', ca_file: c}", "is no address"),
        ("{name: a, kind: rfc3161, url: 'https://u:p@x/', ca_file: c}", "a secret is never a value"),
        ("{name: a, kind: rfc3161, url: 'https://x/'}", "ca_file: is missing"),
        ("{name: a, kind: told, urls_fil: x}", "did you mean urls_file"),
        ("{name: a, kind: told, urls_file: x, every: 1}", "is not a duration"),
        ("{name: A B, kind: told, urls_file: x}", "name"),
        ("{name: a, kind: object_lock, url: 's3:http://far/b', env_file: e}", "expected https"),
        ("{name: a, kind: object_lock, url: '/a/path', env_file: e}", "is no bucket"),
        ("{name: auditor, kind: told, urls_file: x}", "is the name of another anchor"),
    ],
)
def test_each_mistake_has_its_line(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "anchors.yaml").write_text(f"{WELL}  - {line}\n")
    with pytest.raises(PlanInvalid) as told:
        load_anchors(tmp_path / "anchors.yaml")
    assert says in str(told.value) and "anchors.yaml:5" in str(told.value)


def test_the_schema_knows_every_kind() -> None:
    text = str(anchors_schema())
    assert all(kind in text for kind in KINDS)
