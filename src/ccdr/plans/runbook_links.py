"""What the steps of a runbook name: each other, assets and targets. Told from the file's data, with its lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ccdr.model.order import circle_of
from ccdr.plans.problems import did_you_mean
from ccdr.plans.shape import is_name
from ccdr.plans.yamlfile import Document, Where, YamlProblem, mapping_at

ASKED = ("postgres", "mariadb")  # engines whose servers a `sql` step can ask


def runbook_problems(document: Document) -> Iterator[YamlProblem]:
    """Steps, assets and targets that the plan does not have; steps that wait for each other."""
    data = document.data
    steps = mapping_at(data, "runbook")
    names, assets, targets = (list(mapping_at(data, key)) for key in ("runbook", "assets", "targets"))
    for name, step in steps.items():
        if not isinstance(step, dict):
            continue
        for where, other in _named_steps(name, step):
            yield from _unless_known(document, where, other, [one for one in names if one != name], "step", name)
        for key in ("assets", "leave_out"):
            for index, asset in enumerate(_listed(step.get(key))):
                yield from _unless_known(document, ("runbook", name, key, index), asset, assets, "asset")
        if "asset" in step:
            yield from _unless_known(document, ("runbook", name, "asset"), step["asset"], assets, "asset")
        for key in ("asset", "target"):
            if (engine := _engine_of(data, step.get(key))) is not None and engine not in ASKED:
                at: Where = ("runbook", name, key)
                message = f"is of the engine {engine}, which answers no SQL, expected one of {', '.join(ASKED)}"
                yield YamlProblem(document.line(at), at, message)
        if "target" in step:
            yield from _unless_known(document, ("runbook", name, "target"), step["target"], targets, "target")
    if circle := circle_of(_needs(steps)):
        first: Where = ("runbook", circle[0])
        told = " on ".join(circle)
        yield YamlProblem(document.line(first), first, f"waits in a circle ({told}), expected a step that comes first")


def _engine_of(data: Any, asset: Any) -> str | None:
    of = mapping_at(data, "assets").get(asset) if isinstance(asset, str) else None
    engine = of.get("engine") if isinstance(of, dict) else None
    return engine if isinstance(engine, str) else None


def _needs(steps: Mapping[str, Any]) -> dict[str, list[str]]:
    """What each waits for: what it depends on, and the decisions that lead to it."""
    needs: dict[str, list[str]] = {name: [] for name in steps}
    for name, step in steps.items():
        of = step if isinstance(step, dict) else {}
        needs[name] += [other for other in _listed(of.get("depends_on")) if isinstance(other, str) and other in steps]
        answers = of.get("answers")
        for led_to in answers.values() if isinstance(answers, dict) else ():
            for other in _listed(led_to):
                if isinstance(other, str) and other in steps:
                    needs[other].append(name)
    return needs


def _named_steps(name: str, step: Mapping[str, Any]) -> Iterator[tuple[Where, Any]]:
    for index, other in enumerate(_listed(step.get("depends_on"))):
        yield ("runbook", name, "depends_on", index), other
    answers = step.get("answers")
    for answer, led_to in answers.items() if isinstance(answers, dict) else ():
        for index, other in enumerate(_listed(led_to)):
            yield ("runbook", name, "answers", answer, index), other


def _unless_known(
    document: Document, where: Where, named: Any, known: Sequence[str], what: str, itself: str | None = None
) -> Iterator[YamlProblem]:
    if not isinstance(named, str) or not is_name(named) or named in known:
        return  # what is no name at all is told as that
    if named == itself:
        yield YamlProblem(document.line(where), where, "names the step itself, expected another")
        return
    meant = did_you_mean(named, known)
    expected = f"expected one of {', '.join(known)}" if known else f"expected a {what} of the plan: it has none"
    yield YamlProblem(
        document.line(where),
        where,
        f"names the {what} {named}, which this plan does not have, "
        + (f"did you mean {meant}?" if meant else expected),
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
