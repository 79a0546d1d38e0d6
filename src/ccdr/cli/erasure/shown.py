"""What is shown of an entry of the register, and what to do where nothing is, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ccdr.model.erasure import UNSHOWN, EntryState, Unlooked

MOST_NAMED = 5
_UNLOOKED = {
    Unlooked.SNAPSHOT: "this host knows no snapshot of {asset}: nobody has looked",
    Unlooked.TABLES: "the newest snapshot of {asset} does not tell its tables: nobody has looked",
    Unlooked.COLUMNS: "the newest snapshot of {asset} does not tell the table's columns: nobody has looked",
}
_WORDS = {
    EntryState.CANARY: "canary",
    EntryState.FOUND: "its key finds them",
    EntryState.LATE: "there after the erasure: see the source",
    EntryState.NEVER_FOUND: "never found",
    EntryState.NOT_LOOKED_FOR: "not looked for yet",
    EntryState.NOT_DUE: "not shown: no snapshot is from before",
    EntryState.STATED: "nobody to be found, as somebody stated",
}


def word_of(state: EntryState) -> str:
    return _WORDS[state]


def count(found: int | None) -> str:
    return "-" if found is None else str(found)


def unlooked_word(plan: str, asset: str, why: Unlooked) -> str:
    return (
        f"{_UNLOOKED[why].format(asset=asset)} whether the names are right, and a wrong one stops each restore: "
        f"`ccdr erasure prove {plan} --asset {asset}` tells"
    )


def step_for(plan: str, entry: str, state: EntryState) -> str:
    """Of one of which nothing shows that its key finds anybody."""
    look = f"`ccdr erasure prove {plan} --entry {entry}` looks in the newest snapshot from before they were erased"
    if state is EntryState.NOT_LOOKED_FOR:
        return f"nothing shows yet that its key finds anybody: {look}"
    return (
        f"no snapshot from before they were erased has shown that its key finds anybody: {look}. If it finds nobody "
        f"there, look in an older one (`--snapshot oldest`). If nobody is there either, the key may be mistyped: "
        f"`ccdr erasure withdraw {plan} {entry}`, and add it again. If they were never in these backups: "
        f"`ccdr erasure review {plan} --nobody {entry}`"
    )


def steps_for(plan: str, entries: Iterable[tuple[str, EntryState]]) -> Iterator[str]:
    """The same of many, once for all that are alike; the commands name the first."""
    known = list(entries)
    if late := [entry for entry, state in known if state is EntryState.LATE]:
        yield (
            f"{', '.join(late[:MOST_NAMED])}: a snapshot taken after the erasure holds them. Erase them at the source, "
            f"and back up; or the key is somebody else's by now: `ccdr erasure withdraw {plan} {late[0]}`"
        )
    for state in UNSHOWN:
        ids = [entry for entry, its in known if its is state]
        if ids:
            more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
            yield f"{', '.join(ids[:MOST_NAMED])}{more}: {step_for(plan, ids[0], state)}"
