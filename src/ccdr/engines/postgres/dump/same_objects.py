"""Are the definitions those that were captured, owners, grants and comments with them?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from ccdr.engines.compared import judged
from ccdr.engines.postgres.dump.database import create_options, named_alike
from ccdr.engines.postgres.dump.definitions import SUBSCRIBES, of_database, schema, title, type_of
from ccdr.engines.postgres.dump.unfilled import FILLED, fillable, perhaps, unfilled
from ccdr.model.values import CheckResult
from ccdr.ports.check import CheckContext

REFERENCE = "ccdr_reference"  # in the sandbox
BESIDE = "_ref"  # appended to a working name, on a real server
# A load may make what is said of an object needless: a grant that is another server's default.
_OF_OBJECTS = ("ACL", "COMMENT", "DEFAULT ACL", "SECURITY LABEL")


def same_objects(
    context: CheckContext, env: Mapping[str, str], dump: Path, again: Path, working: str | None
) -> CheckResult:
    """Definitions as pg_dump prints them. PostgreSQL prints some of them otherwise once they have been loaded
    (`CHECK (s IN (…))` on a varchar): so what differs is compared with the captured definitions after a load. Of what
    loads to nothing that says nothing: each object that the dump lists has to be there."""
    box = context.sandbox
    captured, restored = schema(box, dump), schema(box, again)
    if working is not None:
        captured, restored = named_alike(captured, restored, working)
    new = restored.statements()
    views = [*unfilled(context.manifest.contents, live=working is not None), *perhaps(context.manifest.contents)]
    left = {f"{FILLED} {s}.{n}" for s, n in views} - {title(s) for s in new}
    if working is None:  # a server that lives is asked to run nothing
        tried = [(s, n) for s, n in perhaps(context.manifest.contents) if f"{FILLED} {s}.{n}" in left]
        left -= fillable(box, env, tried) if tried else set()
    old = _without(captured.statements(), left)
    names = ", ".join(sorted(one.removeprefix(f"{FILLED} ") for one in left))
    note = f", {len(left)} left unfilled, as what fills them may act on more than the database: {names}" if left else ""
    differing = [*(old - new), *(new - old)]
    lost = _titles(old) - _titles(new)
    # What stands in no dump without -C could not be compared again.
    if differing and not any(of_database(s) for s in differing):
        reprinted = sum((old - new).values())
        # Whether a materialised view is filled stands in whole dumps alone; what subscribes is not loaded once more.
        captured = schema(box, dump, whole=False)
        filled = {s: n for s, n in captured.statements().items() if type_of(s) == FILLED or SUBSCRIBES.match(title(s))}
        old = _loaded_once(context, env, dump, working) + _without(filled, left)
        new = schema(box, again, whole=False).statements()
        note += f", {reprinted} of them printed otherwise by PostgreSQL after a load"
    wrong = [f"missing: {one}" for one in (*map(title, old - new), *lost)]
    wrong += [f"not in the backup: {title(s)}" for s in new - old]
    return judged(
        "objects (definitions, owners, grants, comments)",
        sorted(set(wrong)),
        f"{old.total()} definitions",
        f"{new.total()} definitions, equal{note}",
    )


def _without(statements: Mapping[str, int], titles: Collection[str]) -> Counter[str]:
    return Counter({one: n for one, n in statements.items() if title(one) not in titles})


def _titles(statements: Counter[str]) -> Counter[str]:
    return Counter(title(one) for one in statements.elements() if type_of(one) not in _OF_OBJECTS)


def _loaded_once(context: CheckContext, env: Mapping[str, str], dump: Path, working: str | None) -> Counter[str]:
    """The captured definitions, loaded into an empty database of the same server and dumped again."""
    box, name = context.sandbox, f"{working}{BESIDE}" if working else REFERENCE
    psql = ["psql", "-X", "-w", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres" if working else "template1", "-c"]
    reference, again = context.out / "reference", {**env, "PGDATABASE": name}
    box.run([*psql, f"create database {name} {create_options(context.manifest.contents)}"], env=env)
    try:
        argv = ["pg_restore", "-s", "--exit-on-error", "--no-tablespaces", "--no-subscriptions", "-d", name]
        box.run([*argv, box.path(dump)], env=again, what="loading the definitions once more")
        reference.mkdir()
        reference.chmod(0o777)
        encoding = f"--encoding={context.manifest.contents['encoding']}"
        argv = ["pg_dump", "-w", "-s", "-Fd", "-Z0", "--no-sync", encoding, "-f", box.path(reference)]
        box.run(argv, env=again, what="dumping the definitions once more")
        return schema(box, reference, whole=False).statements()
    finally:
        box.run([*psql, f"drop database {name}"], env=env)
