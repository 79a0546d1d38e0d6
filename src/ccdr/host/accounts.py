"""Which users and groups this host knows, and whose files a tree holds that are nobody's here."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ccdr.model.values import so_many

MOST = 3  # numbers that are named


def known(account: str) -> bool:
    try:
        pwd.getpwnam(account)
    except KeyError:
        return False
    return True


def without_account(names: Iterable[str]) -> list[str]:
    return [name for name in names if not known(name)]


def strangers(tree: Path, stands_at: Path) -> Iterator[str]:
    """Sentences on files whose owner or group is only a number here: nobody but root can use them as that. `tree` is
    looked at; it will stand at `stands_at`."""
    users, groups = Counter[int](), Counter[int]()
    for root, directories, files in os.walk(tree):
        for name in (*directories, *files):
            status = os.lstat(f"{root}/{name}")  # text: of many files, paths take most of the time
            users[status.st_uid] += 1
            groups[status.st_gid] += 1
    at = shlex.quote(str(stands_at))
    yield from _nobodys(users, pwd.getpwuid, "user", "useradd --uid {0} NAME", f"chown -hR --from={{0}} USER {at}")
    yield from _nobodys(groups, grp.getgrgid, "group", "groupadd --gid {0} NAME", f"chgrp -hR GROUP {at}")


def _nobodys(counted: Counter[int], named: Callable[[int], object], what: str, make: str, give: str) -> Iterator[str]:
    def here(number: int) -> bool:
        try:
            named(number)
        except KeyError:
            return False
        return True

    unknown = [(number, count) for number, count in counted.most_common() if not here(number)]
    if not unknown:
        return
    of = ", ".join(f"{number} ({so_many(count, 'file')})" for number, count in unknown[:MOST])
    more = f" and {len(unknown) - MOST} more" if len(unknown) > MOST else ""
    first = unknown[0][0]
    yield (
        f"this host has no {what} with the number {of}{more}, to whom files belong: make one by that number "
        f"(`{make.format(first)}`), or give them to another (`{give.format(first)}`)"
    )
