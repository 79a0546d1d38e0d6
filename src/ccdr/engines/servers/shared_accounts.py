"""Roles and users belong to a whole server, and databases restored side by side onto one server may need the same.

Each restore looks at the server before any of them begins. So what the server lacks is asked again when it is made,
one restore at a time; and a restore that is undone leaves what another one relies on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from threading import Lock


@dataclass
class SharedAccounts:
    """Of one server, as the restores of this process made and need them. `alone` is held while they are looked at
    and changed."""

    alone: Lock = field(default_factory=Lock)
    made: set[str] = field(default_factory=set)
    needed: dict[str, set[str]] = field(default_factory=dict)  # by run

    def relied_on(self, run: str, names: Collection[str], made: Collection[str]) -> None:
        """The run needs these, and has just made some of them."""
        self.needed[run] = set(names)
        self.made |= set(made)

    def given_up(self, run: str) -> set[str]:
        """The run needs nothing any more: what was made and nobody else needs, which is to be removed."""
        mine = self.needed.pop(run, set()) & self.made
        left = mine.difference(*self.needed.values())
        self.made -= left
        return left


_by_server: defaultdict[str, SharedAccounts] = defaultdict(SharedAccounts)


def of_server(identity: object) -> SharedAccounts:
    """Those of the server that says this of itself, however it is reached."""
    return _by_server[repr(identity)]
