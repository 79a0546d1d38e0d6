"""The map of laws and standards: what comes with ccdr is right, and every mistake of a user's own is named with its
line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.chronicle import Chronicle
from tests.support.control_histories import recovered, well
from tests.support.controls import known_of
from tests.support.judged import about

from ccdr.evidence.controls.frameworks import judge_frameworks
from ccdr.evidence.controls.registry import ATTESTED, NAMES, judge_measures
from ccdr.model.errors import PlanInvalid, UsageProblem
from ccdr.plans.control_map import load_map, map_schema
from ccdr.plans.job import Job
from ccdr.plans.own_file import packaged
from ccdr.telling.controls import map_beside

FRAMEWORKS = {"gdpr", "hipaa", "pci-dss", "nis2", "dora", "iso-27001", "iso-22301", "soc-2", "nist-800-53"}
GOOD = """\
frameworks:
  local:
    title: A law of ours
    kind: law
    source: https://law.example/1
    requirements:
      "12.10":
        quote: Who holds data keeps it.
        measures: [backup-and-recovery/recoveries, updates]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "controls.yaml"
    path.write_text(text, "utf-8")
    return path


def test_the_map_that_comes_with_ccdr_has_every_framework_and_quotes_laws_alone() -> None:
    frameworks = load_map(None, NAMES).value.frameworks
    assert set(frameworks) == FRAMEWORKS
    laws = {name for name, one in frameworks.items() if one.kind == "law"}
    assert laws == {"gdpr", "hipaa", "nis2", "dora"}
    for name in laws:
        assert all(asked.quote and asked.words is None for asked in frameworks[name].requirements.values()), name
    assert all(one.source.startswith("https://") for one in frameworks.values())
    for name in FRAMEWORKS - laws:
        assert all(asked.quote is None for asked in frameworks[name].requirements.values())


def test_each_measure_answers_something() -> None:
    named = {
        m
        for one in load_map(None, NAMES).value.frameworks.values()
        for r in one.requirements.values()
        for m in r.measures
    }
    assert {one.partition("/")[0] for one in named} == set(NAMES)


def test_what_no_record_shows_rests_on_an_attestation() -> None:
    frameworks = load_map(None, NAMES).value.frameworks

    def measures(law: str, number: str) -> tuple[str, ...]:
        return frameworks[law].requirements[number].measures

    attested = {f"{one.measure}/{one.id}" for one in ATTESTED}
    for number in ("164.308(a)(7)(ii)(C)", "164.308(a)(7)(ii)(E)", "164.316(b)(2)(i)"):
        assert attested & set(measures("hipaa", number)), number
    assert attested & set(measures("dora", "12(3)"))
    for number in ("28(3)(f)", "28(3)(h)", "32(4)"):
        assert attested & set(measures("gdpr", number)), number
    assert "legal-compliance/retention" in measures("gdpr", "5(1)(e)")
    assert measures("gdpr", "33(2)") == ("incident-reporting",)


def test_a_users_own_map_is_read(tmp_path: Path) -> None:
    loaded = load_map(written(tmp_path, GOOD), NAMES)
    assert list(loaded.value.frameworks["local"].requirements) == ["12.10"]
    assert loaded.as_json()["file"] == str(tmp_path / "controls.yaml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"12.10":', "12.10:", ":7: frameworks.local.requirements: has the key 12.1, which is not text"),
        ("updates]", "update]", ":9: frameworks.local.requirements.'12.10'.measures[1]: is no measure, did you mean updates?"),
        ("/recoveries", "/recovery", "measures[0]: is no part of the measure backup-and-recovery, did you mean recoveries?"),
        ("kind: law", "kind: standard", ":8: frameworks.local.requirements.'12.10'.quote: quotes a standard that is sold"),
        ("        quote: Who holds data keeps it.\n", "", ":7: frameworks.local.requirements.'12.10': says nothing of what it asks for"),
        ("kind: law", "kind: rule", ":4: frameworks.local.kind: is not one of the words known here"),
        ("    source: https://law.example/1\n", "", "frameworks.local.source: is missing"),
        ("title:", "titel:", ":3: frameworks.local.titel: unknown key, did you mean title?"),
        ("[backup-and-recovery/recoveries, updates]", "[]", ":9: frameworks.local.requirements.'12.10'.measures: has too few entries"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(PlanInvalid) as told:
        load_map(path, NAMES)
    assert any(str(one).startswith(f"{path}:") and said in str(one) for one in told.value.problems), told.value.problems


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace("updates]", "update]").replace("kind: law", "kind: rule"))
    with pytest.raises(PlanInvalid) as told:
        load_map(path, NAMES)
    assert [one.line for one in told.value.problems] == [4, 9]


def test_the_map_beside_the_plans_takes_the_place_of_ours_and_one_that_is_named_of_both(tmp_path: Path) -> None:
    plans = tmp_path / "plans"
    assert map_beside(plans).raw == packaged("controls.yaml")
    written(tmp_path, GOOD)
    assert set(map_beside(plans).value.frameworks) == {"local"}
    other = tmp_path / "other.yaml"
    with pytest.raises(UsageProblem, match="does not exist"):
        map_beside(plans, other)
    other.write_bytes(packaged("controls.yaml"))
    assert set(map_beside(plans, other).value.frameworks) == FRAMEWORKS


def test_a_requirement_tells_of_each_part_that_answers_it(job: Job, tmp_path: Path) -> None:
    past: Chronicle = about(job)
    well(past)
    recovered(past, -0.4)
    text = GOOD.replace("backup-and-recovery/recoveries, updates", "backup-and-recovery/recoveries")
    one = load_map(written(tmp_path, text), NAMES)
    other = load_map(written(tmp_path, GOOD), NAMES)

    def told(loaded: object, at: float = 0.1) -> str:
        (framework,) = judge_frameworks(loaded, judge_measures(known_of(job, past, at)))  # type: ignore[arg-type]
        assert framework.counts == framework.requirements[0].counts
        return framework.requirements[0].tally

    assert told(one) == "1 of 1 part shown"
    assert told(other) == "2 of 4 parts shown, 2 nothing"
    assert told(one, 367 * 24) == "0 of 1 part shown, 1 expired"
    recovered(past, -0.1, "failed")
    assert told(one) == "0 of 1 part shown, 1 contradicted"


def test_editors_have_a_schema() -> None:
    schema = map_schema()
    assert schema["$schema"] and "frameworks" in schema["properties"]
