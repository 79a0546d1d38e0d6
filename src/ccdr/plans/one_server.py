"""Assets of a plan that protect one server, or one database of it, twice. Pure: by what the plan says alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from ccdr.engines import AnyEngine
from ccdr.engines.servers.connection import is_one
from ccdr.plans.lint import narrowest_gap
from ccdr.plans.model import Plan

WHOLE_SERVER = "physical"  # the method whose snapshots are of a whole server


def is_whole(asset: AnyEngine) -> bool:
    """Is all of its server captured?"""
    return asset.has_server and getattr(asset, "method", WHOLE_SERVER) in (WHOLE_SERVER, "rdb")


def of_one_server(one: AnyEngine, other: AnyEngine) -> bool:
    """Surely: where the plan does not tell, False."""
    if one.engine_name != other.engine_name or not one.has_server:
        return False
    return is_one(one.connection, other.connection)  # type: ignore[union-attr]


def holds(one: AnyEngine, other: AnyEngine) -> bool:
    """Of two of one server: does what is captured of `one` hold all that is captured of `other`?"""
    if is_whole(one):
        return True
    return not is_whole(other) and _database(one) == _database(other)


def overlap(one: AnyEngine, other: AnyEngine) -> bool:
    """Of two of one server: have they something in common?"""
    return holds(one, other) or holds(other, one)


def sharing(assets: Mapping[str, AnyEngine], name: str, among: Iterable[str]) -> list[str]:
    """Of these others the ones that surely hold some of what this one does, in alphabetical order."""
    mine = assets[name]
    others = ((other, assets[other]) for other in among if other != name and other in assets)
    return sorted(other for other, one in others if of_one_server(mine, one) and overlap(mine, one))


def of_one_database(one: AnyEngine, other: AnyEngine) -> bool:
    """Surely: is it the same one that `connection:` of both names?"""
    return of_one_server(one, other) and _database(one) == _database(other)


def _database(asset: AnyEngine) -> object:
    return getattr(getattr(asset, "connection", None), "database", None)


def instead_of(plan: Plan, name: str) -> tuple[str, str] | None:
    """From which other asset it is most likely to be recovered, and why; None where from itself. What is shipped lies
    nearer to any moment, then what is backed up more often; `ccdr recover` goes by the states that there are."""
    mine = plan.assets[name]
    best = _likeliest(plan, name, holds)
    if best == name:
        return None
    ships = plan.assets[best].shipping is not None and mine.shipping is None
    return best, "its log is shipped, so that less is lost" if ships else "it holds no less, and is no older"


def opened_last(plan: Plan) -> list[str]:
    """Assets of which another one of their server, or of a part of it, is most likely to be opened at its address."""
    return [name for name in plan.assets if _likeliest(plan, name, overlap) != name]


def _likeliest(plan: Plan, name: str, beside: Callable[[AnyEngine, AnyEngine], bool]) -> str:
    mine, known = plan.assets[name], list(plan.assets)
    others = [o for o, asset in plan.assets.items() if o != name and of_one_server(mine, asset) and beside(asset, mine)]

    def rank(one: str) -> tuple[float, bool, int]:
        return _distance(plan, one), not is_whole(plan.assets[one]), known.index(one)

    return min([name, *others], key=rank)


def _distance(plan: Plan, name: str) -> float:
    """Seconds that its newest state lies behind, at the most, while all goes well."""
    asset = plan.assets[name]
    if asset.shipping is not None:
        return asset.shipping.interval
    return narrowest_gap(asset.backup.schedule, plan.timezone) if asset.backup is not None else math.inf
