"""Whether a new server can be made where the plan wants it: looked at before anything is written."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Sequence
from pathlib import Path

from ccdr.jobs.restore.directory import Staging, staging_for
from ccdr.jobs.restore.guarded import Guarded
from ccdr.jobs.restore.left_server import Loaded
from ccdr.jobs.restore.new_server import OntoNewServer
from ccdr.jobs.restore.opening import listening
from ccdr.jobs.restore.ways import Order
from ccdr.jobs.shipping.recovery import Recovery
from ccdr.model.errors import TestBroken, UsageProblem
from ccdr.plans.targets import NewServer
from ccdr.ports.new_server import Owner, ServerMaker, Site
from ccdr.sandbox.lab import room_for

# What only a server's own data directory holds: nobody puts another server into one.
OF_A_SERVER = ("PG_VERSION", "ibdata1", "aria_log_control", "appendonlydir")

WRITE, GO_THROUGH = 0o2, 0o1  # as in a mode


def prepared(
    order: Order,
    wanted: NewServer,
    guarded: Sequence[Guarded],
    recovery: Recovery | None,
    working: str | None,
    makes: Path | None,
    stack: contextlib.ExitStack,
) -> OntoNewServer:
    """UsageProblem where it will not do; TestBroken where this host has no image for it. Changes nothing."""
    manifest, home, mark = order.manifest, wanted.directory, working or order.run.id
    site = order.job.site(wanted, mark)
    maker = order.engine.new_server(site)
    owner = owner_of(wanted.owner, maker.user)
    if os.geteuid() != 0:
        raise UsageProblem(
            "only root can give a new server's files to the user that it runs as", hint="run ccdr as root"
        )
    _refuse_inside_a_server(home)
    staging, loaded = _staging(order, site, guarded, maker, makes)
    order.result.notes += maker.notes(manifest, order.services.host)
    for taken in listening(maker, site.address, manifest):
        order.result.notes.append(f"something listens at {taken} now: it must have ended before the new server starts")
    image = order.services.lab.image(order.engine, maker.needs(manifest))
    if owner is not None and site.sockets is not None and not _may(owner, site.sockets, WRITE):
        order.result.notes.append(
            f"{site.sockets} may not be written by the user {owner.name or owner.uid}: its server cannot make its "
            f"socket there (`chown {owner.name or owner.uid} {site.sockets}`)"
        )
    if owner is not None and (closed := closed_to(owner, home)) is not None:
        order.result.notes.append(
            f"{closed} is closed to the user {owner.name or owner.uid}: a server that this host starts cannot reach "
            f"its files, one in a container can (`chmod o+x {closed}` opens it)"
        )
    own = contextlib.ExitStack()
    stack.push(own)
    resumable = working is not None
    return OntoNewServer(order, staging, site, maker, image, owner, own, recovery, loaded, resumable=resumable)


def _staging(
    order: Order, site: Site, guarded: Sequence[Guarded], maker: ServerMaker, makes: Path | None
) -> tuple[Staging, Loaded | None]:
    """Where it is made ready, and what an earlier run of the same name has loaded there."""
    mine = Staging.of(site.home, site.mark)
    loaded = Loaded.read(mine.root)
    if loaded is not None and loaded.snapshot != order.snapshot.id:
        raise UsageProblem(
            f"{mine.root} holds what was loaded of another snapshot, {loaded.snapshot[:8]}",
            hint="remove it, or restore that one",
        )
    maker_needs = maker.needs(order.manifest)
    beside = 0 if maker_needs.in_place else sum(s.bytes for s, _ in order.bases) + order.snapshot.bytes
    needed, entries = maker_needs.bytes + beside, len(order.manifest.files)
    before = mine.root if mine.root.is_dir() else None
    staging, notes = staging_for(
        site.home, guarded, size=needed, entries=entries, run=site.mark, before=before, makes=makes
    )
    staging.own = True
    order.result.notes += notes
    try:
        room_for(order.run.scratch, int(order.snapshot.bytes * 1.05) + 2**24)  # the second dump, to compare
    except TestBroken as error:
        raise UsageProblem(str(error), hint=error.hint) from None
    return staging, loaded


def _refuse_inside_a_server(home: Path) -> None:
    for above in home.parents:
        if any((above / name).exists() for name in OF_A_SERVER):
            raise UsageProblem(f"{home} lies in {above}, a server's own data", hint="name a directory elsewhere")


def closed_to(owner: Owner, home: Path) -> Path | None:
    """The directory above the home that its owner may not go through."""
    there = [above for above in reversed(home.parents) if above.exists()]
    return next((above for above in there if not _may(owner, above, GO_THROUGH)), None)


def _may(owner: Owner, path: Path, what: int) -> bool:
    """By owner, group and mode of a path that is there."""
    groups = {owner.gid}
    if owner.name is not None:
        groups.update(os.getgrouplist(owner.name, owner.gid))
    status = path.stat()
    shift = 6 if status.st_uid == owner.uid else 3 if status.st_gid in groups else 0
    return bool(status.st_mode & (what << shift))


def owner_of(named: str | None, user: str) -> Owner | None:
    """Whom the plan names; else the engine's own user, where this host has it: None where it does not. UsageProblem
    for a name that this host does not know."""
    wanted = named or user
    try:
        entry = pwd.getpwuid(int(wanted)) if wanted.isdigit() else pwd.getpwnam(wanted)
    except (KeyError, OverflowError):
        if named is None:
            return None
        if wanted.isdigit() and int(wanted) < 2**32 - 1:
            return Owner(int(wanted), int(wanted))
        raise UsageProblem(
            f"this host has no user {named!r}", hint="name one that it has, or its number: `id -u NAME` in the image"
        ) from None
    if entry.pw_uid == 0:
        raise UsageProblem("a new server does not run as root", hint="name the user that it is to run as")
    return Owner(entry.pw_uid, entry.pw_gid, entry.pw_name)
