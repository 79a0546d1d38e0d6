"""The passwords that open a repository, as restic lists them: never what they are."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ccdr.model.errors import RepositoryUnavailable
from ccdr.storage.restic import PROBE_WAIT, Restic


@dataclass(frozen=True)
class RepositoryKey:
    """One password: when, by whom and where it was set. `current`: it is the one that was asked with."""

    id: str
    created: str
    user: str
    host: str
    current: bool

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "created": self.created,
            "user": self.user,
            "host": self.host,
            "current": self.current,
        }


def keys_of(repo: Restic) -> list[RepositoryKey]:
    """Raises as `Restic.probe`."""
    told = repo._run(["key", "list", "--json", "--no-lock"], what="listing keys", within=PROBE_WAIT)
    try:
        return [
            RepositoryKey(
                str(one["id"]), str(one["created"]), str(one["userName"]), str(one["hostName"]), one["current"] is True
            )
            for one in json.loads(told)
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise RepositoryUnavailable(f"restic's list of keys cannot be read: {type(error).__name__}") from None
