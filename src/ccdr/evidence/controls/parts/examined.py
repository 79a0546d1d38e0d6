"""How secrets are kept, and how repositories and sources are reached: as it was last looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.shared import CONTRADICTED, EXPIRED, LOOKED_AT, NOTHING, SHOWN
from ccdr.evidence.controls.values import ControlState, Observed, Query, behind
from ccdr.evidence.history.kinds import EXAMINED
from ccdr.evidence.verdicts import Record
from ccdr.model.tls import Tls
from ccdr.model.values import LEDGER_REPOSITORY, so_many, to_the_second, utc
from ccdr.plans.floors import TLS, below_tls
from ccdr.plans.versions import PLAN_VERSION

_LOOK = "ccdr controls --examine   looks now; `ccdr run` looks once a day"
_THEN = "then ccdr controls --examine"
_FLOOR = "raise what the server speaks; then ccdr backup {} takes a new look"
_FLOOR_OF_STORE = f"raise what the store speaks; {_THEN}"
_CERTIFICATE = f"give the store a certificate that verifies, or name its CA (RESTIC_CACERT in `env_file`); {_THEN}"
_SITE = f"add `site:` to the plan, its repository and its copies; {_THEN}"
_CORRECT = f"correct `site:` in the plan, or keep a copy elsewhere: docs/how-to/second-copy.md; {_THEN}"
_ELSEWHERE = "keep a copy at another site: docs/how-to/second-copy.md"
_PLAIN = f"reach it by https, sftp or TLS: change its address in the plan; {_THEN}"
_ROTATE = "ccdr repository key rotate {}   sets a new one, and removes the old one; docs/how-to/keys.md"
_WAYS = {
    "this_host": "on this host",
    "loopback": "by this host's loopback",
    "tls": "by TLS",
    "ssh": "by SSH",
    "by_itself": "by its store's own program",
    "plain": "in plain text",
}
# The third is the next step, where it is not to look again.
Seen = tuple[ControlState, str] | tuple[ControlState, str, str]
_Look = Callable[[Record, Known], Iterator[Seen]]


def _asked(look: _Look) -> Query:
    """Of each plan's newest record; once that is too old it tells nothing of today."""

    def shown(known: Known) -> Iterator[Observed]:
        for plan in known.plans:
            yield from _of(known, plan, look)

    return shown


def _of(known: Known, plan: PlanKnown, look: _Look) -> Iterator[Observed]:
    last = known.history(plan.name).newest.get(EXAMINED)
    if last is None:
        yield Observed(NOTHING, "nobody has looked yet", plan.name, step=_LOOK)
        return
    found = list(look(last, known))
    if all(one[0] is SHOWN for one in found) and known.now - utc(last["time"]) > LOOKED_AT:
        text = f"it was last looked at on {to_the_second(last['time'])}"
        found = [(EXPIRED, text)]
    changed = known.history(plan.name).newest.get(PLAN_VERSION)
    if all(one[0] is SHOWN for one in found) and changed is not None and changed["seq"] > last["seq"]:
        text = "the plan was changed since it was last looked at"
        yield Observed(NOTHING, text, plan.name, None, behind(last, changed), _LOOK)
        return
    for one in found:
        step = one[2].format(plan.name) if len(one) == 3 else _LOOK
        yield Observed(one[0], one[1], plan.name, None, behind(last), None if one[0] is SHOWN else step)


def _repositories(record: Record, known: Known) -> Iterator[Seen]:
    limit = timedelta(seconds=known.floors.ages.repository_key)
    for name, of in record["repositories"].items():
        where, key = f"repository {name}", of.get("oldest_key")
        if of["way"] == "plain":
            yield CONTRADICTED, f"{where} is reached in plain text", _PLAIN
        elif of.get("format") is None:
            yield NOTHING, f"{where} could not be opened, so nobody knows its format"
        elif key is not None and known.now - utc(key) > limit:
            text = f"a password of {where} was set on {to_the_second(key)}: older than {limit.days} days"
            yield EXPIRED, text, _ROTATE
        else:
            keys = so_many(int(of.get("keys") or 0), "password")
            keys += f", {so_many(fast, 'fast key')}" if (fast := int(of["fast_keys"])) else ""
            yield SHOWN, f"{where}: encrypted (restic's format {of['format']}), {keys}, {_WAYS[of['way']]}"


_LESS = "raise it there; `ccdr controls --print floors` prints what is in force"


def tls(known: Known) -> Iterator[Observed]:
    """Each connection by TLS: of repositories as last looked at, of servers as the newest backup was taken. A server
    whose certificate was not verified is on this host: ccdr verifies that of each other one, else there is no
    backup."""
    if known.lowered.get(TLS):
        for plan in known.plans:
            yield Observed(
                NOTHING, f"floors.yaml asks for less than ccdr's own: {known.lowered[TLS]}", plan.name, step=_LESS
            )
    for plan in known.plans:
        sources = any(_tls_of_source(known, plan.name, one.asset)[1] for one in plan.statuses)
        yield from _of(known, plan, partial(_tls_of_repositories, sources=sources))
    for plan, asset in known.assets:
        last, seen = _tls_of_source(known, plan.name, asset.asset)
        if seen is not None:
            spoken = _spoken(seen, known, "the source", beyond=False)
            step = None if spoken[0] is SHOWN else _FLOOR.format(plan.name)
            yield Observed(spoken[0], spoken[1], plan.name, asset.asset, behind(last), step)
        elif (looked := known.history(plan.name).newest.get(EXAMINED)) and _by_tls(looked, asset.asset):
            text, step = "nobody saw which TLS the source speaks: its newest backup does not tell", "ccdr backup {}"
            yield Observed(NOTHING, text, plan.name, asset.asset, behind(looked, last), step.format(plan.name))


def _by_tls(looked: Record, asset: str) -> bool:
    return bool((looked.get("sources") or {}).get(asset) == "tls")


def _tls_of_source(known: Known, plan: str, asset: str) -> tuple[Record | None, Mapping[str, Any] | None]:
    """As its newest backup spoke with it; None where that was not by TLS."""
    last = known.history(plan, asset).last_good_backup
    seen = None if last is None else last.get("tls")
    return last, seen if isinstance(seen, dict) else None


def _tls_of_repositories(record: Record, known: Known, *, sources: bool) -> Iterator[Seen]:
    """`sources`: one of these speaks TLS, so that there is something to show where no repository does."""
    there = {name: of for name, of in record["repositories"].items() if of["way"] == "tls"}
    for name, of in there.items():
        if isinstance(of.get("tls"), dict):
            yield _spoken(of["tls"], known, f"repository {name}", beyond=True)
        else:
            yield NOTHING, f"nobody saw which TLS repository {name} speaks: it did not answer this host directly"
    if not there and not sources:
        ways = ", ".join(f"{name} {_WAYS[of['way']]}" for name, of in record["repositories"].items())
        yield NOTHING, f"nothing to show: no repository of it is reached by TLS ({ways})"


def _spoken(seen: Mapping[str, Any], known: Known, what: str, *, beyond: bool) -> Seen:
    """`beyond`: it leaves this host."""
    version, by = seen.get("version"), f", by the CAs {str(seen['ca_sha256'])[:8]}" if seen.get("ca_sha256") else ""
    spoken = Tls(version, seen.get("cipher"), seen["verified"] is True)
    if beyond and not spoken.verified:
        return (
            CONTRADICTED,
            f"{what} is reached by {version or 'TLS'}, and its certificate does not verify",
            _CERTIFICATE,
        )
    if below_tls(known.floors, spoken):
        return CONTRADICTED, f"{what} speaks {version}: below the floor, TLS {known.floors.tls}", _FLOOR_OF_STORE
    verified = f"verified{by}" if spoken.verified else "on this host"
    return SHOWN, f"{what} speaks {version or 'TLS'}, {verified}"


def _sources(record: Record, _: Known) -> Iterator[Seen]:
    for name, way in record["sources"].items():
        yield CONTRADICTED if way == "plain" else SHOWN, f"the source of {name} is reached {_WAYS[way]}", _PLAIN
    if not record["sources"]:
        yield SHOWN, "its sources are files of this host"


def _sites(record: Record, _: Known) -> Iterator[Seen]:
    source, places = record.get("site"), {name: of.get("site") for name, of in record["repositories"].items()}
    table = ", ".join(f"{name}: {site or 'not said'}" for name, site in {"source": source, **places}.items())
    of_backups = {name: site for name, site in places.items() if name != LEDGER_REPOSITORY}
    known = {site for site in of_backups.values() if site is not None}
    looked = {name: _contradicted(name, record["repositories"][name], source) for name in of_backups}
    wrong = {name: seen for name, seen in looked.items() if seen}
    yield from wrong.values()
    believed = {site for name, site in of_backups.items() if site is not None and name not in wrong}
    if wrong and not believed - {source}:
        return
    if source is None or not known:
        yield NOTHING, f"the plan does not say where all of it lies ({table})", _SITE
    elif believed - {source}:
        yield SHOWN, f"not all lies at one site ({table})"
    elif None in of_backups.values():
        yield NOTHING, f"nothing is known to lie elsewhere ({table})", _SITE
    else:
        yield CONTRADICTED, f"source and backups share one site, so one failure destroys both ({table})", _ELSEWHERE


def _contradicted(name: str, of: Mapping[str, Any], source: str | None) -> Seen | None:
    """Is it said to lie elsewhere, though it is seen where a source stands?"""
    site, seen = of.get("site"), of.get("beside_source")
    if source is None or site in (None, source) or seen is None:
        return None
    text = f"{name} is said to lie at {site}, the source at {source}, and "
    if seen == "path":
        return CONTRADICTED, f"{text}it lies on a disk of the machine where the source stands", _CORRECT
    return (
        NOTHING,
        f"{text}it is reached by the loopback of the machine where the source stands: nothing shows that "
        "it lies elsewhere",
        _CORRECT,
    )


def _secrets(record: Record, known: Known) -> Iterator[Seen]:
    limit = timedelta(seconds=known.floors.ages.secret_file)
    wrong = [seen for secret in record["secrets"] if (seen := _wrong(secret, known, limit))]
    yield from wrong
    if not record["secrets"]:
        yield NOTHING, "its secrets come from commands, which ccdr does not look into"
    elif not wrong:
        count = so_many(len(record["secrets"]), "file")
        yield SHOWN, f"{count}, readable by the owner alone, none is weak, old, or another plan's too"


def _wrong(secret: Mapping[str, Any], known: Known, limit: timedelta) -> Seen | None:
    place, changed = secret["place"], secret.get("changed")
    named, another = f"stands at {place} of the plan", f"{_another(place)}; {_THEN}"
    if not secret["there"]:
        return NOTHING, f"{place} is not on this host", f"put FILE, which {named}, where it is to be; {_THEN}"
    if secret.get("open_to_others"):
        return CONTRADICTED, f"{place} can be read by others than its owner", f"chmod 600 FILE, which {named}; {_THEN}"
    if secret.get("weak"):
        return CONTRADICTED, f"{place} holds a password that may be guessed", another
    if secret.get("also_in"):
        text = f"{place} holds the password that {', '.join(secret['also_in'])} has for something else"
        return CONTRADICTED, text, another
    if changed is not None and known.now - utc(changed) > limit:
        return EXPIRED, f"{place} was last changed on {to_the_second(changed)}: older than {limit.days} days", another
    return None


def _another(place: str) -> str:
    """How another secret is set."""
    if place.startswith("repository."):
        return _ROTATE
    return f"set another one where it is asked for, and write it into FILE, which stands at {place} of the plan"


repositories, sources, sites, secrets = (_asked(look) for look in (_repositories, _sources, _sites, _secrets))
