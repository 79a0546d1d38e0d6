"""Key files that open in a tenth of a second, for passwords that nobody can guess (docs/decisions/12-fast-key.md).

restic makes each guess of a password cost half a second of a processor, and with it each of its calls. A password of
256 random bits needs no such cost: it gets a second key file, beside restic's own, which asks for a fifth of it.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.host.files import write_durably
from ccdr.model.errors import CcdrError
from ccdr.storage import key_file
from ccdr.storage.remains import Store, store_at

if TYPE_CHECKING:
    from ccdr.storage.restic import Restic

TRIAL = "keys/ccdr-trial"  # restic passes over what has no id for a name
MOST_KEYS = 20  # restic tries no more of them with a password: one that comes after these may open nothing
_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
LOOKED = 86400.0  # seconds for which an answer holds: another host may have changed the password meanwhile


@dataclass(frozen=True)
class KeyHint:
    """Which key file a password opens fast, by the repository's location. `kept` is a directory for the answers,
    `source` says where the password comes from, by which an answer is kept. Without `kept` it is asked each time."""

    password: str = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    source: str
    kept: Path | None = None
    wanted: Callable[[], bool] = field(default=lambda: False, repr=False)  # may the password get such a file?
    # Told of a file before it stands there, with the id of restic's own; with None once it is gone again.
    announce: Callable[[Restic, str, str | None], None] = field(default=lambda repo, fast, own: None, repr=False)
    tenant: str = "default"
    _unanswered: set[str] = field(default_factory=set, repr=False, compare=False)  # by this process: asked once

    def of(self, location: str) -> str | None:
        """The id of such a file; None where there is none, or nobody can look."""
        answer = self._answer(location)
        with contextlib.suppress(OSError, TypeError, ValueError):
            if answer is not None and 0 <= time.time() - answer.stat().st_mtime < LOOKED:
                kept = answer.read_text("ascii")
                return kept if _ID.fullmatch(kept) else None
        if location in self._unanswered:
            return None
        try:
            store = store_at(location, self.env)
            keys = [] if store is None else keys_in(store)
        except (OSError, CcdrError):
            self._unanswered.add(location)
            return None
        found = next((key for key in keys[:MOST_KEYS] if store is not None and self._opens(store, key)), None)
        if keys or store is None:  # a repository that is not there yet may have one soon
            self.keep(location, found)
        return found

    def _opens(self, store: Store, key: str) -> bool:
        with contextlib.suppress(OSError, CcdrError, ValueError):
            file = key_file.read(store.contents(f"keys/{key}") or b"")
            return file is not None and file.fast and file.opened(self.password) is not None
        return False

    def keep(self, location: str, found: str | None) -> None:
        if (answer := self._answer(location)) is not None:
            with contextlib.suppress(OSError, CcdrError):  # what is lost is asked again
                write_durably(answer, found or "")

    def forget(self, location: str) -> None:
        """Its keys have changed."""
        if (answer := self._answer(location)) is not None:
            with contextlib.suppress(OSError):
                answer.unlink(missing_ok=True)

    def _answer(self, location: str) -> Path | None:
        name = sha256(f"{location}\n{self.source}".encode()).hexdigest()[:32]
        return self.kept and self.kept / name


def may_be_taken_back(store: Store) -> bool:
    """Does this credential delete below keys/, too? A key that nobody could remove would open for ever."""
    with contextlib.suppress(OSError, CcdrError):
        store.put(TRIAL, b"trial\n")
        store.remove(TRIAL)
        return TRIAL not in store.below("keys")
    return False


def keys_in(store: Store) -> list[str]:
    """The ids of its key files. Raises as the store."""
    names = (name.removeprefix("keys/") for name in store.below("keys"))
    return [name for name in names if _ID.fullmatch(name)]


def quicken(repo: Restic, sibling: str | None = None) -> str | None:
    """A fast key file for the password in use, beside `sibling`, which is restic's own for it (in a new repository the
    only one). Its id; None where the password may have none, has one, or where it could not be taken back, or does not
    open: then none is left. It is announced before it stands there."""
    hint, store = repo.hint, store_at(repo.location, repo.env)
    if hint is None or store is None or not hint.wanted() or hint.of(repo.location) or not may_be_taken_back(store):
        return None
    try:
        there = keys_in(store)
        own = sibling or (there[0] if len(there) == 1 else None)
        if own not in there or len(there) >= MOST_KEYS:
            return None
        master = repo.ask(["cat", "masterkey"], what="the master key").encode()
    except (OSError, CcdrError):
        return None
    fast, text = key_file.contents_of(key_file.KeyFile.sealed(master, hint.password, sibling=own))
    hint.announce(repo, fast, own)
    try:
        store.put(f"keys/{fast}", text)
        hint.keep(repo.location, fast)
        told = json.loads(repo.ask(["key", "list", "--json", "--no-lock"], what="trying the fast key"))
        by_id = {str(one["id"]): bool(one["current"]) for one in told}
        if any(fast.startswith(key) and by_id[key] for key in by_id) and any(own.startswith(key) for key in by_id):
            return fast
    except (OSError, CcdrError, ValueError, KeyError, TypeError):
        pass  # the repository opens as before
    hint.forget(repo.location)
    with contextlib.suppress(OSError, CcdrError):
        store.remove(f"keys/{fast}")
    hint.announce(repo, fast, None)
    return None
