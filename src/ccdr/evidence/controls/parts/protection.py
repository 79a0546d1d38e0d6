"""Measures that keep others out, and notice them: credentials, secrets, encryption, sandboxes, updates, threats, and
negative controls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from ccdr.evidence.access import Review
from ccdr.evidence.controls.parts.governance import attests, stated_by
from ccdr.evidence.controls.parts.shared import (
    CONTRADICTED,
    EXPIRED,
    LOOKED_AT,
    NOTHING,
    SHOWN,
    STATED,
    YEARLY,
    elsewhere,
    failed_before,
    first_of,
    taken_out,
)
from ccdr.evidence.controls.values import (
    ControlState,
    Known,
    Observed,
    PlanKnown,
    Query,
    RecordBehind,
    SignatureState,
    StatedBy,
    behind,
    by_problem,
)
from ccdr.evidence.history.kinds import ACCESS_REVIEWED
from ccdr.evidence.judgement.asset import kinds_of
from ccdr.evidence.judgement.asset_status import STALE, AssetStatus
from ccdr.evidence.judgement.upkeep import broken, too_old, tried
from ccdr.evidence.records import AccessTested, BackupEnd, PlanExamined, StatementRecord, TestEnd
from ccdr.evidence.records.examined import ExaminedRepository, ExaminedSecret
from ccdr.evidence.records.restores import Sandbox
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.records.values import RecordedTls
from ccdr.evidence.statements import ATTESTATION
from ccdr.evidence.whose import UNREADABLE, whose
from ccdr.model.access import SAYS, Held, Promise
from ccdr.model.leaps import LEARNING
from ccdr.model.tls import Tls
from ccdr.model.trouble import Trouble
from ccdr.model.values import LEDGER_REPOSITORY, PRIMARY, rfc3339, so_many, to_the_second
from ccdr.plans.copies import kept_locked
from ccdr.plans.floors import TLS, below_tls
from ccdr.plans.job import Job

# Who may do what: the credential of each role as it was tried at the store, and the review of who has access.


def roles(known: Known) -> Iterator[Observed]:
    """Each plan's promises, as they were last tried. What its store cannot separate nothing here shows."""
    for plan in known.plans:
        yield from _roles(known, plan)


def _roles(known: Known, plan: PlanKnown) -> Iterator[Observed]:
    last, step = tried(plan.loaded, known.history(plan.name)), f"ccdr access test {plan.name}   tries them"
    if last is None:
        text = "nobody has tried the credentials of its roles at the store of its repository"
        yield Observed(NOTHING, text, plan.name, step=f"{step}; docs/how-to/access.md")
        return
    if wrong := first_of(plan.care, (Trouble.ACCESS_BROKEN,)):
        behind_it = broken(plan.loaded, known.history(plan.name)).values()
        yield by_problem(CONTRADICTED, wrong, plan.name, None, last, *behind_it)
        return
    at = to_the_second(last.time)
    if too_old(last, known.now):
        yield Observed(EXPIRED, f"the roles' credentials were last tried on {at}", plan.name, None, behind(last), step)
        return
    if (other := _others(known, plan, last)) is not None:
        yield Observed(NOTHING, f"{other} the trial on {at}", plan.name, None, behind(last), step)
        return
    open_ = [one for one in last.promises if one.result != Held.HELD.value]
    for one in open_:
        what = SAYS[Promise(one.promise)]
        here = "cannot be separated here" if one.result == Held.CANNOT_SEPARATE.value else "was not shown"
        yield Observed(NOTHING, f"that {what} {here}: {one.why}", plan.name, None, behind(last), step)
    if not open_:
        count = so_many(len(last.promises), "promise")
        yield Observed(
            SHOWN, f"{count} of the roles' credentials held when tried on {at}", plan.name, None, behind(last)
        )


def _others(known: Known, plan: PlanKnown, trial: AccessTested) -> str | None:
    """That other credentials were tried than the plan names, or than lie there now; the words that go before when. A
    file has another path on another host."""
    if trial.foreign:
        return None
    if trial.named_sha256 != plan.loaded.plan.access.digest:
        return "the plan names other credentials than at"
    looked = known.history(plan.name).examined
    changed = [
        one.place
        for one in (looked.secrets if looked else ())
        if one.place.startswith("access.") and one.changed is not None and one.changed > trial.time
    ]
    return f"{', '.join(changed)} was changed since" if changed else None


def reviews(known: Known) -> Iterator[Observed]:
    """Each plan's newest review of who has access."""
    for plan in known.plans:
        record = known.history(plan.name).review
        step = f"ccdr access review {plan.name} --out FILE   asks the systems; docs/how-to/access.md"
        if (wrong := first_of(plan.care, (Trouble.STATEMENT_REFUSED,))) is not None:
            said = next(one for one in known.history(plan.name).refused if kind_of(one) == ACCESS_REVIEWED)
            yield by_problem(CONTRADICTED, wrong, plan.name, None, said)
        elif record is None:
            yield Observed(NOTHING, "nobody has looked at who has access", plan.name, step=step)
        elif wrong := first_of(plan.care, (Trouble.ACCESS_REVIEW,)):
            yield by_problem(EXPIRED if Review.of(record).in_order else CONTRADICTED, wrong, plan.name, None, record)
        elif (moved := elsewhere(known, plan.name, PRIMARY, record, step)) is not None:
            yield moved
        else:
            yield _review(Review.of(record), record, plan)


def _review(review: Review, record: StatementRecord, of: PlanKnown) -> Observed:
    plan, lines, given = of.name, so_many(review.entries, "line"), whose(record)
    by = StatedBy(review.by, review.valid_until, SignatureState.of(given))
    text = f"that {lines} of who has access are in order is {by}"
    things = so_many(review.unread, "thing")
    if given.state == UNREADABLE and of.loaded.plan.approval is not None:
        return Observed(CONTRADICTED, f"{text}: {given.why}", plan, None, behind(record))
    if review.unseen:
        named = f": {', '.join(review.not_read)}" if review.not_read else ""
        text += f"; {things} could not be read, and nobody says who looked there{named}"
        step = f'ccdr access review {plan} --looked-at FILE --found "…" --elsewhere "WHO looked there, and when"'
        return Observed(NOTHING, text, plan, None, behind(record), step)
    if review.unread:
        text += f"; {things} could not be read, and it is stated who looked there"
    if review.key is None and of.loaded.plan.approval is not None:
        step = f'ccdr access review {plan} --looked-at FILE --found "…" --key KEY'
        text += "; where a plan is to be approved, whoever looks signs"
        return Observed(NOTHING, text, plan, None, behind(record), step)
    return Observed(STATED, text, plan, None, behind(record), stated=by)


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
_Look = Callable[[PlanExamined, Known], Iterator[Seen]]


def _asked(look: _Look) -> Query:
    """Of each plan's newest record; once that is too old it tells nothing of today."""

    def shown(known: Known) -> Iterator[Observed]:
        for plan in known.plans:
            yield from _of(known, plan, look)

    return shown


def _of(known: Known, plan: PlanKnown, look: _Look) -> Iterator[Observed]:
    last = known.history(plan.name).examined
    if last is None:
        yield Observed(NOTHING, "nobody has looked yet", plan.name, step=_LOOK)
        return
    found = list(look(last, known))
    if all(one[0] is SHOWN for one in found) and known.now - last.time > LOOKED_AT:
        text = f"it was last looked at on {to_the_second(last.time)}"
        found = [(EXPIRED, text)]
    changed = known.history(plan.name).version
    if all(one[0] is SHOWN for one in found) and changed is not None and changed.order > last.order:
        text = "the plan was changed since it was last looked at"
        yield Observed(NOTHING, text, plan.name, None, behind(last, changed), _LOOK)
        return
    for one in found:
        step = one[2].format(plan.name) if len(one) == 3 else _LOOK
        yield Observed(one[0], one[1], plan.name, None, behind(last), None if one[0] is SHOWN else step)


def _repositories(record: PlanExamined, known: Known) -> Iterator[Seen]:
    limit = timedelta(seconds=known.floors.ages.repository_key)
    for name, of in record.repositories.items():
        where, key = f"repository {name}", of.oldest_key
        if of.way == "plain":
            yield CONTRADICTED, f"{where} is reached in plain text", _PLAIN
        elif of.format is None:
            yield NOTHING, f"{where} could not be opened, so nobody knows its format"
        elif key is not None and known.now - key > limit:
            text = f"a password of {where} was set on {to_the_second(key)}: older than {limit.days} days"
            yield EXPIRED, text, _ROTATE
        else:
            keys = so_many(of.keys or 0, "password")
            keys += f", {so_many(fast, 'fast key')}" if (fast := of.fast_keys) else ""
            yield SHOWN, f"{where}: encrypted (restic's format {of.format}), {keys}, {_WAYS[of.way]}"


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
        elif (looked := known.history(plan.name).examined) and looked.sources.get(asset.asset) == "tls":
            text, step = "nobody saw which TLS the source speaks: its newest backup does not tell", "ccdr backup {}"
            yield Observed(NOTHING, text, plan.name, asset.asset, behind(looked, last), step.format(plan.name))


def _tls_of_source(known: Known, plan: str, asset: str) -> tuple[BackupEnd | None, RecordedTls | None]:
    """As its newest backup spoke with it; None where that was not by TLS."""
    last = known.history(plan, asset).last_good_backup
    return last, None if last is None else last.tls


def _tls_of_repositories(record: PlanExamined, known: Known, *, sources: bool) -> Iterator[Seen]:
    """`sources`: one of these speaks TLS, so that there is something to show where no repository does."""
    there = {name: of for name, of in record.repositories.items() if of.way == "tls"}
    for name, of in there.items():
        if of.tls is not None:
            yield _spoken(of.tls, known, f"repository {name}", beyond=True)
        else:
            yield NOTHING, f"nobody saw which TLS repository {name} speaks: it did not answer this host directly"
    if not there and not sources:
        ways = ", ".join(f"{name} {_WAYS[of.way]}" for name, of in record.repositories.items())
        yield NOTHING, f"nothing to show: no repository of it is reached by TLS ({ways})"


def _spoken(seen: RecordedTls, known: Known, what: str, *, beyond: bool) -> Seen:
    """`beyond`: it leaves this host."""
    version, by = seen.version, f", by the CAs {seen.ca_sha256[:8]}" if seen.ca_sha256 else ""
    spoken = Tls(version, seen.cipher, seen.verified)
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


def _sources(record: PlanExamined, _: Known) -> Iterator[Seen]:
    for name, way in record.sources.items():
        yield CONTRADICTED if way == "plain" else SHOWN, f"the source of {name} is reached {_WAYS[way]}", _PLAIN
    if not record.sources:
        yield SHOWN, "its sources are files of this host"


def _sites(record: PlanExamined, _: Known) -> Iterator[Seen]:
    source, places = record.site, {name: of.site for name, of in record.repositories.items()}
    table = ", ".join(f"{name}: {site or 'not said'}" for name, site in {"source": source, **places}.items())
    of_backups = {name: site for name, site in places.items() if name != LEDGER_REPOSITORY}
    known = {site for site in of_backups.values() if site is not None}
    looked = {name: _contradicted(name, record.repositories[name], source) for name in of_backups}
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


def _contradicted(name: str, of: ExaminedRepository, source: str | None) -> Seen | None:
    """Is it said to lie elsewhere, though it is seen where a source stands?"""
    site, seen = of.site, of.beside_source
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


def _secrets(record: PlanExamined, known: Known) -> Iterator[Seen]:
    limit = timedelta(seconds=known.floors.ages.secret_file)
    wrong = [seen for secret in record.secrets if (seen := _wrong(secret, known, limit))]
    yield from wrong
    if not record.secrets:
        yield NOTHING, "its secrets come from commands, which ccdr does not look into"
    elif not wrong:
        count = so_many(len(record.secrets), "file")
        yield SHOWN, f"{count}, readable by the owner alone, none is weak, old, or another plan's too"


def _wrong(secret: ExaminedSecret, known: Known, limit: timedelta) -> Seen | None:
    place, changed = secret.place, secret.changed
    named, another = f"stands at {place} of the plan", f"{_another(place)}; {_THEN}"
    if not secret.there:
        return NOTHING, f"{place} is not on this host", f"put FILE, which {named}, where it is to be; {_THEN}"
    if secret.open_to_others:
        return CONTRADICTED, f"{place} can be read by others than its owner", f"chmod 600 FILE, which {named}; {_THEN}"
    if secret.weak:
        return CONTRADICTED, f"{place} holds a password that may be guessed", another
    if secret.also_in:
        text = f"{place} holds the password that {', '.join(secret.also_in)} has for something else"
        return CONTRADICTED, text, another
    if changed is not None and known.now - changed > limit:
        return EXPIRED, f"{place} was last changed on {to_the_second(changed)}: older than {limit.days} days", another
    return None


def _another(place: str) -> str:
    """How another secret is set."""
    if place.startswith("repository."):
        return _ROTATE
    return f"set another one where it is asked for, and write it into FILE, which stands at {place} of the plan"


repositories, sources, sites, secrets = (_asked(look) for look in (_repositories, _sources, _sites, _secrets))


# Where restored data lay, and how it was shut off: as Docker told of each sandbox once it ran.

_SAFE = ("memory", "encrypted")
_FETCHED = {
    "memory": "fetched into memory",
    "encrypted": "fetched onto an encrypted disk",
    "plain": "fetched onto a disk that this host does not encrypt",
    "unknown": "fetched onto a disk of which this host cannot see whether it is encrypted",
}
_RESTORED = {"": "there", "memory": "in memory", "disk": "on this host's disk"}
_AGAIN = "ccdr test {} --asset {}   records it"
_ENCRYPT = "put STATE/scratch on tmpfs or on an encrypted volume (LUKS), or `ccdr attest disk-encryption`"


def _tested(known: Known) -> Iterator[tuple[PlanKnown, AssetStatus, TestEnd | None]]:
    """Each asset's newest test that has a verdict."""
    for plan, asset in known.assets:
        yield plan, asset, known.history(plan.name, asset.asset).last_conclusive_test


def _told_of(test: TestEnd) -> list[Sandbox]:
    return [test.sandbox, *(one.sandbox for one in test.others if one.sandbox is not None)]


def sandboxes_of(test: TestEnd | None) -> list[Sandbox]:
    """The sandbox of a test, and those of what was restored beside it, as far as there were any."""
    return [] if test is None else [box for box in _told_of(test) if box.image is not None]


def _open(test: TestEnd | None) -> list[Sandbox]:
    """Those of them that were not shut off as far as they tell."""
    return [box for box in sandboxes_of(test) if box.differs or box.network not in (None, "none")]


def storage(known: Known) -> Iterator[Observed]:
    """Each asset's newest test: every place where restored data lay in plain is as safe as its disk."""
    for plan, asset, test in _tested(known):
        where, last = (plan.name, asset.asset, behind(test)), asset.last_test
        if left := [one for one in (last, test) if one and one.disposal.left_behind]:
            text = "its last restore test left data behind"
            yield Observed(CONTRADICTED, text, plan.name, asset.asset, behind(left[0]), "ccdr sandbox reap")
        elif test is None:
            yield Observed(NOTHING, "no restore test tells where its data lay", *where)
        elif asset.coverage == STALE:
            yield Observed(EXPIRED, "its last restore test is too old to tell", *where)
        else:
            yield _lay(known, plan, asset, test)


def _lay(known: Known, plan: PlanKnown, asset: AssetStatus, test: TestEnd) -> Observed:
    """What was fetched, and what ran in sandboxes, beside it among them."""
    where, scratch = (plan.name, asset.asset), test.scratch
    if scratch is None:
        text, step = "its last restore test does not tell where what it fetched lay", _AGAIN.format(*where)
        return Observed(NOTHING, text, *where, behind(test), step)
    boxes = {box.storage for box in _told_of(test) if box.storage is not None}
    on = scratch.filesystem or "a file system that this host does not tell of"
    on += f", device {scratch.device}" if scratch.device else ""
    fetched = f"{_FETCHED[scratch.kept]} ({on})"
    text = f"{fetched}; restored {_RESTORED[min(boxes, default='')]}; and removed, on {to_the_second(test.time)}"
    if scratch.kept in _SAFE and "disk" not in boxes:
        return Observed(SHOWN, text, *where, behind(test))
    if (said := attests("disk-encryption", known, test.host)) is not None:
        text += f"; that it is encrypted below, where this host cannot see it, is {(by := stated_by(said))}"
        record = RecordBehind(said.seq, rfc3339(said.made), ATTESTATION)
        return Observed(STATED, text, *where, (record, *behind(test)), stated=by)
    return Observed(NOTHING, text, *where, behind(test), _ENCRYPT)


def isolation(known: Known) -> Iterator[Observed]:
    """Each asset's newest test: was its sandbox as it was asked for, and each beside it? Where one was not, the test
    ends without a verdict."""
    for plan, asset, test in _tested(known):
        where, boxes = (plan.name, asset.asset, behind(test)), sandboxes_of(test)
        if (last := next((one for one in (asset.last_test, test) if _open(one)), None)) is not None:
            facts = dict.fromkeys(one.fact for of in _open(last) for one in of.differs)
            text = f"its sandbox was not shut off as it was asked for: {', '.join(facts) or 'network'}"
            yield Observed(CONTRADICTED, text, plan.name, asset.asset, behind(last))
        elif test is None or any(one.network is None for one in boxes):
            yield Observed(NOTHING, "no restore test tells of its sandbox", *where)
        elif asset.coverage == STALE:
            yield Observed(EXPIRED, "its last restore test is too old to tell", *where)
        elif not boxes and test.verdict != "PASS":
            yield Observed(NOTHING, "its last restore test ended before there was a sandbox, if it needs one", *where)
        elif (box := test.sandbox).image is None:
            yield Observed(SHOWN, "its restore test needed no sandbox: nothing of what was restored was run", *where)
        else:
            more = f"; this kernel lacks {so_many(len(box.unlimited), 'limit')}" if box.unlimited else ""
            text = f"no network, {box.root} root, capabilities: {box.capabilities}{more}"
            yield Observed(SHOWN, text, *where)


# Defence against cyber-threats: does what is backed up still look like what it was?

_EXTEND = "ccdr lock extend {}   does it now; `ccdr run` does it once a day, on the host that has the credential"


def object_locks(known: Known) -> Iterator[Observed]:
    """What each repository in a bucket is made of, kept locked for as long as the plan says."""
    for plan in known.plans:
        there = kept_locked(plan.loaded)
        for name in there:
            yield _locked(known, plan, name)
        if not there:
            step = "add `lock:` to a repository in a bucket: docs/how-to/keys.md"
            yield Observed(
                NOTHING, "nothing keeps what is in use locked (`lock:` of a repository)", plan.name, step=step
            )


def _locked(known: Known, plan: PlanKnown, name: str) -> Observed:
    history = known.history(plan.name)
    newest, done = history.locks.get(name), history.locks_done.get(name)
    wrong = [p for p in plan.care if p.about == name]
    if short := first_of(wrong, (Trouble.OBJECTS_OVERWRITTEN, Trouble.LOCK_SHORT)):
        return by_problem(CONTRADICTED, short, plan.name, None, newest)
    if done is None:
        text = f"nobody has pushed the locks of {name} forward"
        return Observed(NOTHING, text, plan.name, None, behind(newest), _EXTEND.format(plan.name))
    at = to_the_second(done.time)
    if known.now - done.time > LOOKED_AT:
        text = f"the locks of {name} were last pushed forward on {at}"
        return Observed(EXPIRED, text, plan.name, None, behind(done), _EXTEND.format(plan.name))
    if (moved := elsewhere(known, plan.name, name, done, _EXTEND.format(plan.name))) is not None:
        return moved
    what_is_there = f"ccdr snapshots {plan.name}   says what is there"
    if not done.objects:
        text = f"nothing of {name} was in use on {at}: it is empty, or all of it is hidden by deletes"
        return Observed(NOTHING, text, plan.name, None, behind(done), what_is_there)
    in_use = f"{name}: {so_many(done.objects, 'object')} in use"
    if done.holds_until is None:
        return Observed(NOTHING, f"{in_use}, locked nobody knows until when", plan.name, None, behind(done))
    text = f"{in_use}, locked until {to_the_second(done.holds_until)} at least"
    return Observed(SHOWN, text, plan.name, None, behind(done))


def leaps(known: Known) -> Iterator[Observed]:
    """Each asset's newest backup: looked at for what ransomware leaves."""
    for plan, asset in known.assets:
        yield _leap(known, plan, asset)
    for name, out, history in taken_out(known):
        yield from failed_before(known, name, out, history.suspect, "a backup of it looked encrypted or emptied")


def _leap(known: Known, plan: PlanKnown, asset: AssetStatus) -> Observed:
    history, where = known.history(plan.name, asset.asset), (plan.name, asset.asset)
    good = history.last_good_backup
    if suspect := first_of(asset.troubles, (Trouble.SNAPSHOT_SUSPECT,)):
        return by_problem(CONTRADICTED, suspect, *where, history.suspect)
    there = [name for name, digest in good.canaries.items() if digest] if good is not None else []
    compared = len(history.grown) > LEARNING and good is not None and good.growth is not None
    if good is None or not (compared or there):
        text = f"it has no canary, and fewer than {LEARNING} backups before the newest to compare that one with"
        if len(history.grown) > LEARNING:
            text = "it has no canary, and restic counts nothing of what its newest backup is made of"
        return Observed(NOTHING, text, *where, behind(good))
    named = plan.loaded.plan.assets[asset.asset].canaries
    if absent := [name for name in named if name not in there]:
        text = f"no backup has found the canary {', '.join(absent)}: nothing is compared with it"
        return Observed(NOTHING, text, *where, behind(good), "look at its path, or its query, in the plan")
    if late := first_of(asset.troubles, (Trouble.BACKUP_LATE,)):
        return by_problem(EXPIRED, late, *where, good)
    canaries = so_many(len(there), "canary", "canaries")
    leaps_ = "does not leap" if compared else "has nothing to be compared with"
    text = f"the backup of {to_the_second(good.time)} {leaps_}; {canaries} as they are to be"
    return Observed(SHOWN, text, *where, behind(good))


# Updates and patches: the versions that records tell of, against what is asked for.

_PROGRAMS = ("ccdr", "restic")  # of these, and of the engine, a floor is to be set
SOURCE = "source"  # what records call the server, or program, that was captured
_NO_PROGRAM = ("files",)  # its "version" is a format's
_ASK = "name them in floors.yaml; `ccdr controls --print floors` prints what is in force"
_RAISE = "update it, or set another floor in floors.yaml; `ccdr controls --print floors` prints what is in force"


def versions(known: Known) -> Iterator[Observed]:
    """Each asset's newest backup and test: which versions took part?"""
    for plan, asset in known.assets:
        yield _versions(known, plan, asset)


def _versions(known: Known, plan: PlanKnown, asset: AssetStatus) -> Observed:
    history, engine = known.history(plan.name, asset.asset), plan.loaded.plan.assets[asset.asset].engine_name
    records = [r for r in (history.last_good_backup, history.last_conclusive_test) if r is not None and r.tools]
    told = {name: (version, record) for record in records for name, version in _named(record, engine)}
    where, floors = (plan.name, asset.asset), known.floors
    if not told:
        return Observed(NOTHING, "no record tells of versions", *where, step=f"ccdr backup {plan.name}")
    shown = ", ".join(f"{name} {version}" for name, (version, _) in sorted(told.items()))
    for name, (version, record) in sorted(told.items()):
        if floor := floors.below(name, version):
            text = f"{name} {version} is below {floor}, which is asked for"
            return Observed(CONTRADICTED, text, *where, behind(record), _RAISE)
    oldest = min(record.time for record in records)
    if known.now - oldest > timedelta(seconds=floors.ages.versions):
        text = f"what versions there are was last recorded on {to_the_second(oldest)}"
        return Observed(EXPIRED, text, *where, behind(*records))
    if unasked := [name for name in (*_PROGRAMS, engine) if name in told and not floors.versions.get(name)]:
        text = f"nothing is asked of {', '.join(unasked)} in floors.yaml: any version is well"
        return Observed(NOTHING, text, *where, behind(*records), _ASK)
    asked = [*_PROGRAMS, *(() if engine in _NO_PROGRAM else (engine,))]
    if untold := [name for name in asked if name not in told]:
        text = f"no record tells which version of {', '.join(untold)} took part ({shown})"
        return Observed(NOTHING, text, *where, behind(*records), f"ccdr backup {where[0]}; ccdr test {where[0]}")
    if less := [known.lowered[name] for name in sorted(told) if name in known.lowered]:
        text = f"floors.yaml asks for less than ccdr's own: {', '.join(less)}"
        return Observed(NOTHING, text, *where, behind(*records), _RAISE)
    return Observed(SHOWN, shown, *where, behind(*records))


def _named(record: BackupEnd | TestEnd, engine: str) -> Iterator[tuple[str, str]]:
    """By program; the source by its engine."""
    for name, version in record.tools.items():
        if name != SOURCE:
            yield str(name), str(version)
        elif engine not in _NO_PROGRAM:
            yield engine, str(version)


def images(known: Known) -> Iterator[Observed]:
    """Each asset's newest test: how old was the oldest image that its sandbox, or one beside it, ran?"""
    limit = timedelta(seconds=known.floors.ages.image)
    for plan, asset in known.assets:
        test, where = known.history(plan.name, asset.asset).last_conclusive_test, (plan.name, asset.asset)
        boxes = sandboxes_of(test)
        if test is not None and not boxes and test.verdict == "PASS":
            yield Observed(SHOWN, "its restore test needed no sandbox, and no image", *where, behind(test))
            continue
        made = {box.image_created: box.image for box in boxes if box.image_created is not None}
        if not boxes or any(box.image_created is None for box in boxes):
            yield Observed(NOTHING, "no restore test tells how old its image was", *where, behind(test))
            continue
        oldest, newest = min(made), max(made)
        if newest > known.now:
            text = f"the image {made[newest]} says that it was made in the future"
            yield Observed(CONTRADICTED, text, *where, behind(test))
        elif known.now - oldest > limit:
            text = f"the image {made[oldest]} was made on {to_the_second(oldest)}: older than {limit.days} days"
            yield Observed(
                EXPIRED, text, *where, behind(test), "make or pull it anew: `make images FRESH=1`, `docker pull`"
            )
        else:
            text = f"the image {made[oldest]} was made on {to_the_second(oldest)}"
            yield Observed(SHOWN, text, *where, behind(test))


# Security testing: is a damaged copy found?


def negative_controls(known: Known) -> Iterator[Observed]:
    """Each asset's newest negative control that has shown anything."""
    for plan, asset in known.assets:
        history, where = known.history(plan.name, asset.asset), (plan.name, asset.asset)
        last = history.last_control
        kind = last.damage.kind if last is not None and last.damage is not None else ""
        word = kind.replace("_", " ")
        if passed := first_of(asset.troubles, (Trouble.CONTROL_PASSED,)):
            yield by_problem(CONTRADICTED, passed, *where, *history.not_caught.values())
        elif last is None or last.result != "CAUGHT":
            text, step = (
                "no damaged copy was ever tested",
                "docs/how-to/negative-controls.md   tells how to schedule them",
            )
            yield Observed(NOTHING, text, *where, behind(last), step)
        elif kind not in kinds_of(Job(plan.loaded, asset.asset)):
            text, step = f"the last damaged copy was of another engine ({word})", f"ccdr test {plan.name} --asset "
            yield Observed(NOTHING, text, *where, behind(last), f"{step}{asset.asset} --negative-control")
        elif late := first_of(asset.troubles, (Trouble.CONTROL_LATE,)):
            yield by_problem(EXPIRED, late, *where, last)
        elif known.now - last.time > YEARLY:
            yield Observed(EXPIRED, "the last damaged copy was tested more than a year ago", *where, behind(last))
        else:
            text = f"a copy damaged on purpose ({word}) was found bad on {to_the_second(last.time)}"
            yield Observed(SHOWN, text, *where, behind(last))
    for name, out, history in taken_out(known):
        missed = next(iter(history.not_caught.values()), None)
        yield from failed_before(known, name, out, missed, "a damaged copy of it passed its restore test")
