"""Who could log in at the captured server, and cannot at the new one: its own files say who comes in, and maps
that name accounts of the old host are worth nothing on another."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ccdr.host.accounts import known, without_account

# Whoever may log in, and whether by a password.
LOGINS = "select rolpassword is not null, rolname from pg_authid where rolcanlogin order by rolname;"


@dataclass(frozen=True)
class Entering:
    """`by_password` has every role that may log in; `mapped` the accounts of the old host and the roles that they came
    in as; `captures` are the roles by which the plan captures, `ours` whom root is let in as. `copied`: roles came with
    all that they had."""

    by_password: Mapping[str, bool]
    mapped: Sequence[tuple[str, str]]
    captures: Sequence[str]
    ours: Sequence[str]
    copied: bool

    @classmethod
    def of(cls, logins: str, ident: str, captures: Sequence[str], ours: Sequence[str], *, copied: bool) -> Entering:
        """`logins` is what `LOGINS` gave, `ident` the captured pg_ident.conf."""
        rows = (line.partition("|") for line in logins.split("\n") if line)
        by_password = {role: stored == "t" for stored, _, role in rows}
        mapped = [(account, role) for account, role in mapped_in(ident) if role in by_password and account != role]
        return cls(by_password, mapped, captures, ours, copied)

    def notes(self, letting_in: Callable[[str, str], str]) -> Iterator[str]:
        """Sentences, each with the line that mends it (`letting_in` an account as a role)."""
        if missing := [role for role in self.captures if role not in self.by_password]:
            yield (
                f"the plan captures as {', '.join(missing)}, and the new server has no such role that may log in: "
                "make it before the next backup (docs/reference/postgres.md says with which rights)"
            )
        for account, role in self.mapped:
            if role not in self.ours:
                first = "" if known(account) else f"this host has no such account (`useradd {account}`). "
                yield (
                    f"its pg_ident.conf let the account {account} in as {role}, and the new one does not. {first}Once "
                    f"it is started: {letting_in(account, role)}"
                )
        told = {*self.ours, *(role for _, role in self.mapped)}
        silent = [role for role, password in self.by_password.items() if not password and role not in told]
        outside = without_account(silent) if self.copied or any(self.by_password.values()) else []
        if outside:
            yield (
                f"{', '.join(outside)} may log in without a password, and this host has no accounts of these names: "
                "nobody is let in as them. For each, ACCOUNT being what its application runs as here, once it is "
                f"started: {letting_in('ACCOUNT', outside[0])} (where Docker started it, psql may run by `docker "
                "exec`, and echo here). One that comes by network needs a password: psql's \\password, as the superuser"
            )


def mapped_in(ident: str) -> Iterator[tuple[str, str]]:
    """Accounts and the roles that a pg_ident.conf lets them in as, where it says so by their plain names."""
    for line in ident.split("\n"):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a quote of its own
            continue
        if len(words) == 3 and not any(word.startswith(("/", "+")) for word in words[1:]) and words[2] != "all":
            yield words[1], words[2]
