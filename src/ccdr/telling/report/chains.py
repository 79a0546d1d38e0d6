"""What shows that a ledger beside ours is what it was: its own chain, the snapshots that attest it, the comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ccdr.evidence.lineage.comparison import itself
from ccdr.evidence.lineage.own_records import Compared, Lineage
from ccdr.evidence.population import Chain, Population
from ccdr.model.values import Attestation
from ccdr.storage.catalogue import Catalogue

MOST_LOOKED_UP = 50  # records that snapshots attest: the newest; the daily comparison looks at all


@dataclass(frozen=True)
class ChainFacts:
    """`believed`: all of it was verified for this report, and held. `snapshots` are those known here that attest it, up
    to its record `newest`; `agrees`: what is here of it is what they say. `compared` are the repositories that were
    asked since it was taken in, by plan."""

    chain: Chain
    believed: bool
    snapshots: int
    newest: int
    agrees: bool
    compared: Mapping[str, Compared]

    def as_json(self) -> dict[str, object]:
        return {
            **self.chain.as_json(),
            "head": self.chain.head,
            "believed": self.believed,
            "attested": {"snapshots": self.snapshots, "newest": self.newest, "agrees": self.agrees},
            "repositories": {plan: compared.as_json() for plan, compared in self.compared.items()},
        }


def facts_of(beside: Population, believed: Population, catalogue: Catalogue, lineage: Lineage) -> list[ChainFacts]:
    claims = _claims(catalogue) if beside else {}
    return [_facts(one, one in believed.chains, claims.get(one.ledger, {}), lineage) for one in beside.chains]


def _claims(catalogue: Catalogue) -> dict[str, dict[str, list[Attestation]]]:
    """What the snapshots that are known here attest, by ledger and plan."""
    claims: dict[str, dict[str, list[Attestation]]] = {}
    for plan in sorted(path.name for path in catalogue.directory.glob("*") if path.is_dir()):
        for asset in catalogue.assets(plan):
            for attested in (s.attested for s in catalogue.snapshots(plan, asset)):
                claims.setdefault(attested.ledger, {}).setdefault(plan, []).append(attested)
    return claims


def _facts(chain: Chain, believed: bool, claims: Mapping[str, Sequence[Attestation]], lineage: Lineage) -> ChainFacts:
    every = sorted(
        (attested for of_plan in claims.values() for attested in of_plan), key=lambda attested: -attested.seq
    )
    here = [attested for attested in every if attested.seq <= chain.records][:MOST_LOOKED_UP]
    says = itself(chain.directory) if here else Lineage()
    return ChainFacts(
        chain,
        believed,
        len(every),
        every[0].seq if every else 0,
        all(
            chain.reader.hash_of(attested.seq) == attested.head
            or says.excuses(chain.reader, attested.seq, attested.prev)
            for attested in here
        ),
        {
            plan: compared
            for plan, compared in lineage.compared.items()
            if plan in claims and compared.at >= chain.taken
        },
    )
