"""What is concluded of a restored Redis from two descriptions of it: what is lost, changed, or has only expired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.manifests import SAID

from ccdr.engines.redis import identity
from ccdr.engines.redis.capture import RDB, USERS, Description, KeyGroup
from ccdr.engines.redis.server import ADMIN
from ccdr.model.values import CheckResult, FileDigest, Manifest, Verdict
from ccdr.ports.check import CheckContext

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
USER = "user calls on #abc ~* +@all"
GROUPS = (
    KeyGroup(0, "string", None, 5, "-"),
    KeyGroup(0, "hash", None, 2, "-"),
    KeyGroup(0, "string", 2000, 3, "later"),
    KeyGroup(1, "stream", None, 1, "groups"),
    KeyGroup(1, "field", None, 4, "fields"),
    KeyGroup(1, "module:ReJSON-RL", None, 1, "-"),
)
HELD = Description("redis 8.0.2", 1000, {0: 11, 1: 2}, "c0ffee", GROUPS, {"lib": "f1", "other": "f2"})


@dataclass
class Restored:
    """What was captured, what the restored server holds, and what a second server would say of the fetched file."""

    context: CheckContext
    monkeypatch: pytest.MonkeyPatch
    found: Description = HELD
    reference: Description = HELD
    users: list[str] = field(default_factory=lambda: [f"user {ADMIN} on nopass", USER])
    asked: list[str] = field(default_factory=list)

    def ask(self, *words: str) -> list[str]:
        assert words == ("ACL", "LIST")
        return self.users

    @property
    def captured(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.context.manifest.contents)

    def results(self) -> dict[str, CheckResult]:
        def described(_: object, since: int) -> Description:
            assert since == 77, "spans of time are counted from where they were"
            return self.found

        def reference() -> Description:
            self.asked.append("reference")
            return self.reference

        self.monkeypatch.setattr(identity, "describe", described)
        found = list(identity.compare(self.context, cast("Any", self), reference))
        assert {one.kind for one in found} == {"identical"}
        return {one.name: one for one in found}

    def failed(self) -> list[str]:
        return [name for name, one in self.results().items() if one.status is Verdict.FAIL]


@pytest.fixture
def restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Restored:
    (tmp_path / RDB).write_bytes(b"REDIS0012")
    (tmp_path / USERS).write_text(f"{USER}\n")
    files = {n: FileDigest(9, sha256((tmp_path / n).read_bytes()).hexdigest()) for n in (RDB, USERS)}
    contents = {"since": 77, "described": HELD.as_json(), "keys": 13, "users": 1}
    manifest = Manifest("p", "queue", "r", "redis", "rdb", "h", NOW, 0.0, {}, contents, files, attested=SAID)

    def digest(root: Path, names: Sequence[str]) -> dict[str, FileDigest]:
        return {n: FileDigest(0, sha256((root / n).read_bytes()).hexdigest()) for n in names}

    context = CheckContext(manifest, tmp_path, tmp_path, tmp_path, None, cast("Any", None), cast("Any", digest))
    return Restored(context, monkeypatch)


def test_what_is_as_it_was_captured_passes_and_is_told(restored: Restored, wording: SnapshotAssertion) -> None:
    results = restored.results()
    assert restored.failed() == [] and restored.asked == []
    assert [*results] == ["files", "keys", "contents", "expiry times and consumer groups", "functions", "users"]
    assert results["files"].actual == f"{RDB}, {USERS} as captured, by SHA-256"
    assert results["keys"].actual == wording
    assert results["contents"].expected == "SHA-1 c0ffee"
    assert results["expiry times and consumer groups"].actual.startswith("3 keys expire when they did")
    assert results["functions"].actual == "2 of them" and results["users"].actual == "1 of them"


@pytest.mark.parametrize("name", [RDB, USERS])
def test_a_file_that_was_changed_is_named(restored: Restored, name: str) -> None:
    """A list of users that is no list any more stops nothing: it was a crash of ccdr, and so INCONCLUSIVE."""
    (restored.context.restored / name).write_text(f"{USER}\n#5e884898da")
    results = restored.results()
    assert restored.failed() == ["files"] and results["files"].actual == f"changed: {name}"
    assert ("users" in results) is (name == RDB)
    assert not any("5e88" in one.actual for one in results.values())


def test_a_backup_without_users_asks_for_none(restored: Restored) -> None:
    restored.captured["users"] = None
    cast("dict[str, Any]", restored.context.manifest.files).pop(USERS)
    results = restored.results()
    assert "users" not in results and results["files"].expected == f"{RDB} as captured, by SHA-256"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({0: 10, 1: 2}, "database 0: 10 instead of 11"),
        ({0: 11}, "database 1: 0 instead of 2"),
        ({0: 11, 1: 2, 5: 1}, "database 5: 1 instead of 0"),
    ],
)
def test_keys_that_are_lost_or_new_fail(restored: Restored, keys: dict[int, int], said: str) -> None:
    restored.found = replace(HELD, keys=keys, groups=tuple(g for g in GROUPS if g.database in keys))
    one = restored.results()["keys"]
    assert one.status is Verdict.FAIL and said in one.actual and one.expected.startswith("13 keys")


def test_a_kind_that_became_another_fails_though_the_sum_is_the_same(
    restored: Restored, wording: SnapshotAssertion
) -> None:
    restored.found = replace(HELD, groups=(replace(GROUPS[0], count=4), replace(GROUPS[1], count=3), *GROUPS[2:]))
    one = restored.results()["keys"]
    assert one.actual == wording
    restored.found = replace(HELD, groups=(*GROUPS[:4], replace(GROUPS[4], count=9), GROUPS[5]))
    assert restored.failed() == ["expiry times and consumer groups"], "fields are no keys"


def test_a_file_of_which_not_all_keys_were_loaded_fails(restored: Restored) -> None:
    restored.captured["keys"] = 14
    one = restored.results()["keys"]
    assert one.status is Verdict.FAIL and one.actual == "13 keys loaded of 14 in the file"


def test_what_has_expired_since_is_no_difference(restored: Restored) -> None:
    """In either: who looked later sees less, and the sum of all keys is the same."""
    expired = tuple(g for g in GROUPS if g.span is None)
    for at, passes in ((2000, True), (2001, True), (1999, False)):
        restored.found = replace(HELD, at=at, groups=expired)
        assert (restored.failed() == []) is passes, at
    restored.found = replace(HELD, at=1000)
    restored.captured["described"] = replace(HELD, at=2500, groups=expired).as_json()
    assert restored.failed() == []
    assert restored.results()["expiry times and consumer groups"].actual.startswith("0 keys expire")


@pytest.mark.parametrize("change", [{"span": 3000}, {"digest": "other"}, {"span": None}])
def test_keys_that_expire_at_another_time_fail(restored: Restored, change: dict[str, Any]) -> None:
    restored.found = replace(HELD, groups=(*GROUPS[:2], replace(GROUPS[2], **change), *GROUPS[3:]))
    assert restored.failed() == ["expiry times and consumer groups"]
    assert restored.results()["expiry times and consumer groups"].actual == "changed: database 0, string"


def test_other_contents_fail(restored: Restored) -> None:
    restored.found = replace(HELD, contents="dead")
    assert restored.failed() == ["contents"] and restored.results()["contents"].actual == "SHA-1 dead"
    assert restored.asked == [], "the same server says so"


def test_another_version_of_the_server_is_compared_by_its_own_words(restored: Restored) -> None:
    """It may count otherwise: then it is asked about the fetched file as well. What is no count stays as captured."""
    restored.found = restored.reference = replace(HELD, server="redis 8.2", contents="dead", groups=GROUPS[:3])
    restored.captured["described"] = replace(HELD, functions={"lib": "f1"}).as_json()
    assert restored.failed() == ["functions"] and restored.asked == ["reference"] * 1
    restored.asked.clear()
    restored.reference = HELD
    assert "contents" in restored.failed()
    restored.asked.clear()
    restored.found = replace(HELD, server="redis 8.2")
    restored.captured["described"] = HELD.as_json()
    assert restored.failed() == [] and restored.asked == [], "it says the same"


def test_what_no_capture_has_described_is_described_from_the_file(restored: Restored) -> None:
    restored.captured["described"] = None
    assert restored.failed() == [] and restored.asked == ["reference"]
    restored.reference = replace(HELD, contents="dead")
    assert restored.failed() == ["contents"]


def test_functions_and_users_are_named_by_what_became_of_them(restored: Restored, wording: SnapshotAssertion) -> None:
    restored.found = replace(HELD, functions={"lib": "f9", "new": "x"})
    assert restored.results()["functions"].actual == wording
    assert restored.failed() == ["functions"]
    restored.users = ["user calls on #abc ~* -@all", "user planted on nopass"]
    assert restored.results()["users"].actual == "planted is new; calls is changed"
    restored.users = []
    assert restored.results()["users"].actual == "calls is missing"


def test_as_many_differences_are_named_as_a_person_reads(restored: Restored) -> None:
    restored.captured["described"] = replace(HELD, functions={}).as_json()
    for many, more in ((6, ""), (7, "; and 1 more"), (9, "; and 3 more")):
        restored.found = replace(HELD, functions={f"f{n}": "x" for n in range(many)})
        said = restored.results()["functions"].actual
        assert said == "; ".join(f"f{n} is new" for n in range(6)) + more
