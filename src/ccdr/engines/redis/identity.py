"""Compares what a restored server holds with what was captured.

The file itself, by its SHA-256; then what the server has made of it: a server that found no file, or skipped part of
one, answers just as readily.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ccdr.engines.redis.capture import RDB, TYPES, USERS, Description, KeyGroup, describe, is_key
from ccdr.engines.redis.server import ADMIN, PrivateServer
from ccdr.model.values import CheckResult, Verdict, so_many
from ccdr.ports.check import CheckContext

NAMED = 6  # differences that a result names
Reference = Callable[[], Description]


def compare(context: CheckContext, server: PrivateServer, reference: Reference) -> Iterator[CheckResult]:
    """`reference` loads the fetched file into a second server and describes it: for what no capture has described, and
    where another version of the server did."""
    held = context.manifest.contents
    changed = _changed(context)
    yield _files(context, changed)
    restored = describe(server, int(str(held["since"])))
    described = held["described"]
    expected = Description.parse(described) if isinstance(described, Mapping) else reference()
    if expected.contents != restored.contents and expected.server != restored.server:
        again = reference()
        expected = replace(expected, contents=again.contents, groups=again.groups)
    yield _keys(held["keys"], expected, restored)
    contents = _result("contents", f"SHA-1 {expected.contents}", f"SHA-1 {restored.contents}")
    yield replace(contents, varies=True)
    yield _expiry(expected, restored)
    yield _named("functions", expected.functions, restored.functions)
    if held["users"] is not None and USERS not in changed:  # what a damaged list says is nobody's name or rights
        yield _users(context, server)


def _result(name: str, expected: str, actual: str, *, same: bool | None = None) -> CheckResult:
    passed = expected == actual if same is None else same
    return CheckResult("identical", name, Verdict.PASS if passed else Verdict.FAIL, expected, actual)


def _captured(context: CheckContext) -> list[str]:
    return [name for name in (RDB, USERS) if name in context.manifest.files]


def _changed(context: CheckContext) -> list[str]:
    names = _captured(context)
    digests = context.digest(context.restored, names)
    return [name for name in names if digests[name].sha256 != context.manifest.files[name].sha256]


def _files(context: CheckContext, changed: list[str]) -> CheckResult:
    expected = f"{', '.join(_captured(context))} as captured, by SHA-256"
    return _result("files", expected, f"changed: {', '.join(changed)}" if changed else expected)


def _keys(captured: object, expected: Description, restored: Description) -> CheckResult:
    """All keys of each database, whether expired or not; and by type, what cannot have expired since."""
    differences = []
    for database in sorted(set(expected.keys) | set(restored.keys)):
        was, now = expected.keys.get(database, 0), restored.keys.get(database, 0)
        if was != now:
            differences.append(f"database {database}: {now} instead of {was}")
    for (database, kind), (was, now) in _lasting(expected, restored):
        if was != now and is_key(kind):
            differences.append(f"database {database}, {kind}: {now} instead of {was}")
    if sum(expected.keys.values()) != captured:
        differences.append(f"{so_many(sum(expected.keys.values()), 'key')} loaded of {captured} in the file")
    return _result("keys", _told(expected), _some(differences) or _told(restored), same=not differences)


def _told(description: Description) -> str:
    """`1203 keys in 2 databases: 1100 hash, 100 string, 3 stream`; what had expired when it was told is in the sum."""
    total: dict[str, int] = {}
    for counted in description.types().values():
        for kind, count in counted.items():
            total[kind] = total.get(kind, 0) + count
    expired = sum(description.keys.values()) - sum(total.values())
    parts = [f"{total[kind]} {kind}" for kind in (*TYPES, *sorted(total.keys() - set(TYPES))) if kind in total]
    parts += [f"{expired} expired"] if expired else []
    keys, databases = sum(description.keys.values()), len(description.keys)
    return f"{so_many(keys, 'key')} in {so_many(databases, 'database')}: {', '.join(parts)}"


def _lasting(expected: Description, restored: Description) -> Iterator[tuple[tuple[int, str], tuple[int, int]]]:
    """Counts by database and kind, of both, of what had not begun to expire when either was looked at."""
    at = max(expected.at, restored.at)

    def counted(description: Description) -> dict[tuple[int, str], int]:
        counts: dict[tuple[int, str], int] = {}
        for group in _comparable(description, at):
            key = (group.database, group.kind)
            counts[key] = counts.get(key, 0) + group.count
        return counts

    was, now = counted(expected), counted(restored)
    for key in sorted(was.keys() | now.keys()):
        yield key, (was.get(key, 0), now.get(key, 0))


def _comparable(description: Description, at: int) -> Iterator[KeyGroup]:
    for group in description.groups:
        if group.span is None or group.span > at:
            yield group


def _expiry(expected: Description, restored: Description) -> CheckResult:
    """When keys and fields expire, and what streams hold beside their entries. Of the spans that had begun by now some
    is hidden already, and `contents` has told that all of it is there."""
    at = max(expected.at, restored.at)
    was = {(g.database, g.kind, g.span): g for g in _comparable(expected, at)}
    now = {(g.database, g.kind, g.span): g for g in _comparable(restored, at)}
    changed = sorted({(d, k) for (d, k, s) in was.keys() | now.keys() if was.get((d, k, s)) != now.get((d, k, s))})
    expiring = sum(g.count for g in was.values() if g.span is not None and is_key(g.kind))
    wanted = f"{expiring} keys expire when they did; groups and consumers of streams are as they were"
    named = _some([f"database {database}, {kind}" for database, kind in changed])
    return _result("expiry times and consumer groups", wanted, f"changed: {named}" if named else wanted)


def _named(name: str, expected: Mapping[str, str], restored: Mapping[str, str]) -> CheckResult:
    """Objects by name and digest."""
    differences = [f"{n} is missing" for n in sorted(expected.keys() - restored.keys())]
    differences += [f"{n} is new" for n in sorted(restored.keys() - expected.keys())]
    differences += [f"{n} is changed" for n in sorted(expected.keys() & restored.keys()) if expected[n] != restored[n]]
    wanted = f"{len(expected)} of them"
    return _result(name, wanted, _some(differences) or wanted, same=not differences)


def _users(context: CheckContext, server: PrivateServer) -> CheckResult:
    """Their rights and the digests of their passwords, by name alone in what is recorded."""
    captured = (context.restored / USERS).read_text("utf-8", "surrogateescape").split("\n")[:-1]
    return _named("users", _by_name(captured), _by_name(server.ask("ACL", "LIST")))


def _by_name(rules: list[str]) -> dict[str, str]:
    split = [rule.split(" ", 2) for rule in rules]
    return {name: rest for _, name, rest in split if name != ADMIN}


def _some(differences: list[str]) -> str:
    more = len(differences) - NAMED
    return "; ".join(differences[:NAMED]) + (f"; and {more} more" if more > 0 else "")
