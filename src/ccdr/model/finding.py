"""What is not as the plan wants, though what was done is good: as it is recorded, told and judged."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, floor, log2
from typing import Annotated

from msgspec import Meta, Struct, structs, to_builtins


class Finding(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One, by whoever made it. Two are the same where `about` and `cause` are; the later is worse where one of its
    `values` is greater."""

    text: Annotated[str, Meta(description="a sentence of ours: names of objects, counts; never a program's words")]
    about: Annotated[
        str, Meta(description="what it is of, without what changes while it lasts: words of ours, names of objects")
    ]
    values: Annotated[
        tuple[float, ...], Meta(description="by which it is worse, the greater the worse: counts, bytes, seconds")
    ] = ()
    cause: Annotated[str, Meta(description="snapshots that it is of, by short ids, or what else tells it apart")] = ""

    def __str__(self) -> str:
        return self.text

    def within(self, name: str) -> Finding:
        """The same, told of one asset of several."""
        return structs.replace(self, text=f"{name}: {self.text}", about=f"{name}: {self.about}")


def recorded(findings: Iterable[Finding]) -> list[object]:
    """As records and `--json` have them."""
    return [to_builtins(one) for one in findings]


def at_most(amount: float) -> float:
    """A value for what changes with each look (bytes, seconds): only twice as much is worse."""
    return 2.0 ** ceil(log2(amount)) if amount > 0 else 0.0


def at_least(amount: float) -> float:
    """A value for what there may not be less of: only half as much is worse."""
    return -(2.0 ** floor(log2(amount))) if amount > 0 else 0.0
