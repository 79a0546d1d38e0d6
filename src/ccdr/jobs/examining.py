"""Look, once a day, at how a plan's secrets are kept and how its repositories are reached; the record holds what was
seen, never a secret or a path."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ccdr.engines.servers.connection import Peer
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import ACCESS_REVIEWED
from ccdr.evidence.records.examined import ExaminedRepository, ExaminedSecret, PlanExamined
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.records.values import RecordedTls, code
from ccdr.evidence.statements import PLAN_APPROVED
from ccdr.evidence.whose import whose
from ccdr.host.nearby import on_this_machine
from ccdr.host.strength import weak
from ccdr.host.tls import handshake
from ccdr.jobs.approvals import believed
from ccdr.jobs.repository_keys import log_below, stated_in
from ccdr.jobs.services import Services, limits_of
from ccdr.model.errors import CcdrError, RepositoryMissing
from ccdr.model.schedule import SET_BACK
from ccdr.model.tls import Tls
from ccdr.model.values import LEDGER_REPOSITORY, RecordRef
from ccdr.plans import LoadedPlan, control_map, floors
from ccdr.plans.lint import elsewhere_too, open_to_others, secret_files
from ccdr.plans.model import LONGEST_SITE
from ccdr.plans.own_file import digest_beside
from ccdr.plans.repository_url import http_address, is_loopback
from ccdr.plans.yamlfile import Where, dotted
from ccdr.storage.repository_keys import MOST_KEYS, keys_of, parted, passwords
from ccdr.storage.restic import Restic

EVERY = timedelta(days=1)
_LARGEST = 1 << 16


def examine_daily(plans: Sequence[LoadedPlan], services: Services) -> list[RecordRef]:
    """Those that nobody has looked at for a day, or since they were changed; not while the ledger is less than a day
    old. CcdrError where it cannot be read or written."""
    now, histories = services.clock.now(), services.histories()
    first = next(iter(services.ledger.as_read()), None)
    if first is None or now - EVERY < first.time <= now + SET_BACK:
        return []
    due = []
    for loaded in plans:
        history = histories.get((loaded.plan.plan, None), AssetHistory())
        last, version = history.examined, history.version
        changed = last is not None and version is not None and version.order > last.order
        if last is None or changed or not now - EVERY < last.time <= now + SET_BACK:
            due.append(loaded)
    return examine(due, plans, services)


def examine(plans: Iterable[LoadedPlan], every: Sequence[LoadedPlan], services: Services) -> list[RecordRef]:
    """Look at these now, and record what is seen; `every`: plans whose passwords are compared with theirs."""
    return [services.ledger.write(_seen(one, every, services)) for one in plans]


def _seen(loaded: LoadedPlan, every: Sequence[LoadedPlan], services: Services) -> PlanExamined:
    plan = loaded.plan
    shared = _shared(loaded, [one for one in every if one.plan.plan != plan.plan])
    return PlanExamined(
        plan=plan.plan,
        site=plan.site and plan.site[:LONGEST_SITE],
        repositories=dict(_repositories(loaded, services)),
        sources={name: code(way) for name, engine in plan.assets.items() if (way := _way_to_source(engine))},
        secrets=[
            _secret(where, path, shared)
            for where, path in secret_files(plan)
            if path.exists() or not elsewhere_too(where)
        ],
        floors_sha256=digest_beside(loaded.path.parent, floors.BESIDE),
        controls_sha256=digest_beside(loaded.path.parent, control_map.BESIDE),
        **_signatures(loaded, services),
    )


def _signatures(loaded: LoadedPlan, services: Services) -> dict[str, Any]:
    """What became of the signatures of what people have stated, as whoever asks today is told."""
    told, nothing = believed([loaded], services), AssetHistory()
    of, host = told.get((loaded.plan.plan, None), nothing), told.get((None, None), nothing)
    refused = {kind_of(one): one for one in reversed(of.refused)}
    approved, review = refused.get(PLAN_APPROVED, of.approval), refused.get(ACCESS_REVIEWED, of.review)
    attested = [one for one in (*host.attested.values(), *host.refused) if loaded.plan.approval and whose(one).signed]
    return {
        "approval": approved and whose(approved).state,
        "review": review and whose(review).state,
        "attestations": {str(one.seq): whose(one).state for one in attested},
    }


def _repositories(loaded: LoadedPlan, services: Services) -> Iterator[tuple[str, ExaminedRepository]]:
    """Each that the plan names, and that of the shipped log below it where one is shipped."""
    twins = services.twins(loaded.plan.plan)
    ships = any(engine.shipping is not None for engine in loaded.plan.assets.values())
    for name, settings in stated_in(loaded).items():
        seen: dict[str, Any] = {"way": way_to(settings.url), "site": settings.site and settings.site[:LONGEST_SITE]}
        seen["beside_source"] = beside_source(settings.url, loaded)
        repo = None
        with contextlib.suppress(CcdrError):  # it is told of by what needs it
            repo = services.opened(settings, limits_of(loaded)).impatient()
            tls = None if seen["way"] != "tls" else _tls_to(settings.url, repo.env)
            seen["tls"] = RecordedTls(**asdict(tls)) if tls else None
        yield name, ExaminedRepository(**seen, **((repo and _opened(repo, twins)) or {}))
        if (
            repo is not None
            and ships
            and name != LEDGER_REPOSITORY
            and (of_log := _opened(log_below(repo), twins)) is not None
        ):
            yield f"{name}.log", ExaminedRepository(**seen, **of_log)


def _opened(repo: Restic, twins: Mapping[str, str]) -> dict[str, Any] | None:
    """What is seen once it is open: nothing where it does not open. None where there is none (a log is shipped from
    when the first was)."""
    try:
        keys, form = keys_of(repo, twins), repo.format()
    except RepositoryMissing:
        return None
    except CcdrError:
        return {}
    times = [key.created for key in keys if key.created is not None]
    return {
        "format": form,
        "keys": passwords(keys),
        "oldest_key": min(times, default=None),
        "key_ids": [key.id for key in keys[-MOST_KEYS:]],
        "fast_keys": sum(key.twin_of is not None for key in keys),
        "parted_keys": parted(keys, twins),
    }


def _tls_to(url: str, env: Mapping[str, str]) -> Tls | None:
    """As restic would speak with the store: by the CAs that its environment names."""
    address = urlsplit(http_address(url) or "")
    ca = env.get("RESTIC_CACERT") or env.get("SSL_CERT_FILE")
    if address.hostname is None:
        return None
    return handshake(address.hostname, address.port or 443, ca_file=Path(ca) if ca else None)


def way_to(url: str) -> str:
    """How what is sent there travels. A plan that sends it in plain text to another host is refused before."""
    if url.startswith("/"):
        return "this_host"
    address = http_address(url)
    if address is None:
        return "ssh" if url.startswith("sftp:") else "by_itself"
    if address.startswith("https://"):
        return "tls"
    host = address.partition("://")[2].rpartition(":")[0] or address.partition("://")[2]
    return "loopback" if is_loopback(host.strip("[]")) else "plain"


def beside_source(url: str, loaded: LoadedPlan) -> str | None:
    """What shows that a repository lies on the machine where a source stands, whatever the plan says of its site."""
    if not any(engine.on_this_host for engine in loaded.plan.assets.values()):
        return None
    if url.startswith("/"):
        return "path" if on_this_machine(Path(url)) else None
    host = urlsplit(http_address(url) or "").hostname if not url.startswith("sftp:") else _ssh_host(url)
    return "loopback" if host is not None and is_loopback(host) else None


def _ssh_host(url: str) -> str | None:
    """Of `sftp:user@host:/path` or `sftp://user@host:port/path`."""
    rest = url.removeprefix("sftp:")
    if rest.startswith("//"):
        return urlsplit(f"sftp:{rest}").hostname
    return rest.partition(":")[0].rpartition("@")[2] or None


def _way_to_source(engine: Any) -> str | None:
    """None for what is no server's."""
    peer = getattr(engine, "connection", None)
    if not isinstance(peer, Peer):
        return None
    if peer.socket is not None:
        return "this_host"
    return "tls" if peer.verified_tls else "loopback" if is_loopback(peer.host) else "plain"


def _secret(where: Where, path: Path, shared: Mapping[Where, list[str]]) -> ExaminedSecret:
    seen: dict[str, Any] = {"place": dotted(where), "there": False}
    with contextlib.suppress(OSError):  # not there, or not to be looked at by who runs this
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(microsecond=0)
        seen["there"] = path.is_file()
        seen |= {"open_to_others": open_to_others(path) is not None, "changed": changed}
    if seen["there"] and (secret := _password(where, path)) is not None:
        seen |= {"weak": weak(secret, of_repository=_of_repository(where)), "also_in": shared.get(where, [])}
    return ExaminedSecret(**seen)


def _of_repository(where: Where) -> bool:
    return where[0] in ("repository", "ledger_repository", "copies")


def _password(where: Where, path: Path) -> str | None:
    """What a file holds that is one password, and no list of addresses or names and values."""
    if where[-1] != "password_file":
        return None
    with contextlib.suppress(OSError, UnicodeDecodeError):
        with path.open("rb") as file:
            return file.read(_LARGEST).decode("utf-8").split("\n", 1)[0].rstrip("\r")
    return None


@dataclass(frozen=True)
class _Use:
    """One place where a password stands, and what it opens."""

    plan: str
    where: Where
    opens: str


def _uses(loaded: LoadedPlan) -> Iterator[tuple[str, _Use]]:
    """By the password's digest, which goes no further than this process."""
    plan = loaded.plan
    for where, path in secret_files(plan):
        if secret := _password(where, path):
            opens = str(where[:-1])
            if where[0] == "repository":
                opens = plan.repository.location
            elif where[0] == "copies":
                opens = plan.copies[str(where[1])].location
            yield sha256(secret.encode()).hexdigest(), _Use(plan.plan, where, opens)


def _shared(loaded: LoadedPlan, others: Sequence[LoadedPlan]) -> dict[Where, list[str]]:
    """Other plans that have the same password for another repository, or another source."""
    known: dict[str, list[_Use]] = defaultdict(list)
    for other in others:
        for digest, use in _uses(other):
            known[digest].append(use)

    def elsewhere(own: _Use, used: Iterable[_Use]) -> list[str]:
        return sorted({use.plan for use in used if not (_of_repository(own.where) and use.opens == own.opens)})

    return {own.where: elsewhere(own, known[digest]) for digest, own in _uses(loaded)}
