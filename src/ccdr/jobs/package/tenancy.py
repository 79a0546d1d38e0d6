"""Whose data a plan is of, by all that was ever recorded of it, and by its files: one client's package holds nothing of
another's.

A plan is one tenant's only where nothing says otherwise. One that holds the data of several is in no one's package: its
records of repository, prunes and versions tell of all of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import orjson

from ccdr.evidence.ledger.lines import typed_lines
from ccdr.evidence.ledger.places import lines
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.jobs.package.sources import Source
from ccdr.model.errors import UsageProblem
from ccdr.plans import LoadedPlan

_PLAN = re.compile(rb'","plan":"([^"\\]*)","asset":(?:"([^"\\]*)"|null),')
_TENANT = re.compile(rb'"(?:for_)?tenant":"([^"\\]*)"')
_VERSION = b'"kind":"plan.version"'
DEFAULT = "default"  # what stands where nobody says whose it is
_UNKNOWN = ""  # whose an asset is that nothing tells of


@dataclass(frozen=True)
class Tenancy:
    """`plans` are this tenant's alone; `mixed` are its and others'. `foreign` are names of others' plans and tenants,
    which nothing of a package may hold; those that are `tenants` not as a part of a name either (a host, a login).
    `own_names` are this tenant's, of its assets too: these may be as they are."""

    tenant: str
    plans: frozenset[str]
    mixed: tuple[str, ...]
    foreign: frozenset[str]
    tenants: frozenset[str] = frozenset()
    own_names: frozenset[str] = frozenset()

    def told_in(self, text: str) -> str | None:
        """The first of the others' names that stands in it."""
        if not self.foreign:
            return None
        return next((match[1] for match in self._pattern.finditer(text) if match[1] is not None), None)

    def own(self, lineage: Lineage) -> Lineage:
        """What the ledger says of itself, without what it says of others' plans."""
        compared = {plan: one for plan, one in lineage.compared.items() if plan in self.plans}
        beside = {key: replace(one, apart=()) for key, one in lineage.beside.items()}
        verified = lineage.verified
        if verified is not None:
            problems = tuple("a finding that names another client" if self.told_in(p) else p for p in verified.problems)
            verified = replace(verified, problems=problems)
        return replace(lineage, compared=compared, beside=beside, verified=verified)

    def may_hear(self, scope: str) -> bool:
        return scope == self.tenant

    def may_know(self, plans: Sequence[str]) -> bool:
        """A sign-off of all plans counts the runs, and names the accounts, of others."""
        return bool(plans) and set(plans) <= self.plans

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Group 1 is another's name; without it, it is one of this tenant's own."""
        own, others, tenants = map(_any_of, (self.own_names, self.foreign - self.tenants, self.tenants))
        whole, part = r"(?<![\w-]){}(?![\w-])", r"(?<![^\W_]){}(?![^\W_])"
        return re.compile("|".join((whole.format(own), f"({whole.format(others)}|{part.format(tenants)})")))


def _any_of(names: Iterable[str]) -> str:
    """As a pattern; of none, one that matches nothing."""
    return f"(?:{'|'.join(map(re.escape, sorted(names, key=len, reverse=True))) or '(?!)'})"


def tenancy(tenant: str, loaded: Sequence[LoadedPlan], wrong: Iterable[str], sources: Iterable[Source]) -> Tenancy:
    """`wrong` are plans whose files cannot be read: whose they are by now, nobody can tell. UsageProblem where no plan
    is this tenant's alone."""
    known = _by_records(sources)
    for plan in wrong:
        known[plan][None].add(_UNKNOWN)
    for one in loaded:
        assets = known[one.plan.plan]
        for name in (None, *one.plan.assets):  # whose it is was not said once, and is now
            assets[name] = (assets[name] - {_UNKNOWN, DEFAULT}) | {one.plan.tenant_of(name)}
    of = {plan: frozenset[str]().union(*assets.values()) for plan, assets in known.items()}
    plans = frozenset(plan for plan, tenants in of.items() if tenants == {tenant})
    mixed = tuple(sorted(plan for plan, tenants in of.items() if tenant in tenants and len(tenants) > 1))
    if not plans:
        several = f"; {', '.join(mixed)} hold the data of others, too, and tell of them" if mixed else ""
        raise UsageProblem(
            f"no plan is {tenant}'s alone{several}",
            hint="`tenant:` of a plan, or of an asset, says whose it is; a plan for each client can be told apart",
        )
    others = {name for plan, tenants in of.items() if plan not in plans for name in (plan, *tenants)}
    foreign = frozenset(others - plans - {tenant, DEFAULT, _UNKNOWN})
    tenants = foreign & frozenset[str]().union(*of.values())
    own_assets = {name for plan in plans for name in known[plan] if name is not None}
    return Tenancy(tenant, plans, mixed, foreign, tenants, frozenset({tenant, *plans, *own_assets} - foreign))


def _by_records(sources: Iterable[Source]) -> dict[str, dict[str | None, set[str]]]:
    """By plan and asset (None: the plan itself): whose its records say it is."""
    known: dict[str, dict[str | None, set[str]]] = defaultdict(lambda: defaultdict(set))
    for source in sources:
        for line in lines(source.directory, source.extent):
            if (match := _PLAN.search(line)) is None:
                continue
            assets = known[match[1].decode()]
            tenants = {one.decode() for one in _TENANT.findall(line)}
            asset = match[2].decode() if match[2] is not None else None
            if tenants:
                assets[asset] = (assets[asset] - {_UNKNOWN}) | tenants
            elif _VERSION in line:
                for name in _assets_of(line):
                    if not assets[name]:
                        assets[name] = {_UNKNOWN}
    return known


def _assets_of(line: bytes) -> list[str]:
    facts = typed_lines(line).get("facts")
    named = facts.get("assets") if isinstance(facts, Mapping) else None
    return list(named) if isinstance(named, Mapping) else []


def told_of_others(document: Path, tenancy: Tenancy) -> str | None:
    """Another's name in the values of a JSON document, or anywhere in a CSV; the page says the same as these."""
    if document.suffix == ".json":
        texts = _values(orjson.loads(document.read_bytes()))
    elif document.suffix == ".csv":
        with document.open(encoding="utf-8") as lines_:
            return next((name for line in lines_ if (name := tenancy.told_in(line))), None)
    else:
        return None
    return next((name for text in texts if (name := tenancy.told_in(text))), None)


def _values(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as mapping:
                waiting += mapping.values()
            case list() as items:
                waiting += items
