"""Who may do what in a store, as its server tells: never a password, nor a hash of one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reach:
    """What an account may do in one place of the server (a schema, a database): by the server's own words, or by how
    many tables of how many it reads and writes."""

    where: str
    rights: tuple[str, ...] = ()
    reads: int | None = None
    writes: int | None = None
    of: int | None = None


@dataclass(frozen=True)
class Account:
    """A user, or a role. `rights` are those that it has everywhere, in the server's own words."""

    name: str
    logs_in: bool
    rights: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()
    valid_until: str | None = None
    reach: tuple[Reach, ...] = ()


@dataclass(frozen=True)
class Accounts:
    """All accounts that the client's user may see. `unread`: what it may not, as sentences."""

    accounts: tuple[Account, ...] = ()
    unread: tuple[str, ...] = ()
