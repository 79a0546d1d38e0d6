"""Who may read or change what ccdr goes by on this host: secrets, plans, state, and the files that it backs up; and by
whose keys is approved."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ccdr.engines.files.engine import Files
from ccdr.engines.sqlite.engine import Sqlite
from ccdr.host.signatures import trusted_signers
from ccdr.jobs.access.public_keys import key_in
from ccdr.model.errors import UsageProblem
from ccdr.model.values import so_many
from ccdr.plans import LoadedPlan, Plan
from ccdr.plans.lint import secret_files
from ccdr.plans.model import Approval
from ccdr.plans.yamlfile import dotted

Lacks = Callable[[str, str], None]
OF_STATE = ("ledger", "catalogue", "payloads", "private", "cache", "plans", "runs")
MOST_FILES = 100_000  # of one tree, whose modes are looked at: some seconds


def files_of(loaded: LoadedPlan, state: Path, lacks: Lacks) -> Iterator[dict[str, Any]]:
    """Each with owner, group and mode, and the directories above it that others than their owner may write to."""
    named = [(f"secret: {dotted(where)}", path) for where, path in secret_files(loaded.plan)]
    named += [("plan", loaded.path), ("state", state)]
    named += [(f"state: {name}", state / name) for name in OF_STATE if (state / name).exists()]
    if loaded.plan.approval is not None:
        named.append(("who may approve", loaded.plan.approval.signers))
    for what, path in named:
        yield from _told(what, path, lacks)
    for name, paths in sources_of(loaded.plan).items():
        for path in paths:
            yield from _told(f"source: {name}", path, lacks)
            if path.is_dir():
                yield from _open_to_all(name, path, lacks)


def sources_of(plan: Plan) -> dict[str, Sequence[Path]]:
    """Of each asset that is made of files: which."""
    found: dict[str, Sequence[Path]] = {}
    for name, one in plan.assets.items():
        if isinstance(one, Files):
            found[name] = one.paths
        elif isinstance(one, Sqlite):
            found[name] = (one.path,)
    return found


def _told(what: str, path: Path, lacks: Lacks) -> Iterator[dict[str, Any]]:
    try:
        found = path.stat()
    except OSError as error:
        lacks(f"{what} ({path})", f"it cannot be looked at: {error.strerror}")
        return
    yield {
        "what": what,
        "path": str(path),
        "owner": _user(found.st_uid),
        "group": _group(found.st_gid),
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
        "others_may": _others(found.st_mode),
        "replaceable_by_others_at": [str(place) for place in _writable(path)],
    }


def _open_to_all(asset: str, root: Path, lacks: Lacks) -> Iterator[dict[str, Any]]:
    """One line for all files of a tree that every account of this host may read, by the modes of the files and of the
    directories that lead there: how many, for their names may be customers' data. What an access list adds for one
    account is not seen."""
    if not all(place.stat().st_mode & stat.S_IXOTH for place in (root, *root.parents)):
        return
    seen = count = 0
    for directory, below, names in os.walk(root):
        below[:] = [name for name in below if _mode(Path(directory, name)) & stat.S_IXOTH]
        for name in names:
            seen += 1
            if _mode(Path(directory, name)) & stat.S_IROTH:
                count += 1
        if seen > MOST_FILES:
            lacks(f"files of {asset} beyond the first {seen}", f"below {root}, too many to be looked at each")
            break
    if count:
        which = so_many(count, "file that every account may read", "files that every account may read")
        yield from _told(f"source: {asset}, {which}, below", root, lacks)


def _mode(path: Path) -> int:
    """Of what is there, not of what a link leads to; nothing where it has gone meanwhile."""
    try:
        found = path.lstat().st_mode
    except OSError:
        return 0
    return 0 if stat.S_ISLNK(found) else found


def _others(mode: int) -> list[str]:
    """What others than its owner may do with it."""
    kinds = (("read", stat.S_IRGRP | stat.S_IROTH), ("write", stat.S_IWGRP | stat.S_IWOTH))
    return [word for word, bits in kinds if mode & bits]


def _writable(path: Path) -> Iterator[Path]:
    """Directories by which somebody else could put another file in its place; not those with a sticky bit."""
    for place in path.absolute().parents:
        try:
            found = place.stat()
        except OSError:
            continue
        shared = stat.S_IWOTH | (stat.S_IWGRP if found.st_gid not in (0, found.st_uid) else 0)
        if found.st_mode & shared and not found.st_mode & stat.S_ISVTX:
            yield place


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def signers_of(loaded: LoadedPlan, lacks: Lacks) -> Iterator[dict[str, Any]]:
    """By whose keys something is approved or signed, as the file of signers has them."""
    path = (loaded.plan.approval or Approval()).signers
    if loaded.plan.approval is None and not path.exists():
        return
    try:
        text = trusted_signers(path)
    except UsageProblem as error:
        lacks("who may approve", str(error))
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        told = _signer(line)
        if told is None:
            lacks(f"line {number} of {path}", "it is none of OpenSSH's allowed_signers")
        else:
            yield told


def _signer(line: str) -> dict[str, Any] | None:
    """`principals [options] keytype base64 …`."""
    try:
        words = shlex.split(line, posix=False)
    except ValueError:
        return None
    if (found := key_in(words[1:])) is None:
        return None
    at, printed = found[0] + 1, found[1]
    return {
        "names": words[0].strip('"').split(","),
        "key": printed,
        "type": words[at],
        "second_factor": words[at].startswith("sk-"),
        "options": [word for option in words[1:at] for word in option.split(",")],
    }
