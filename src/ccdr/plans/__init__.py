"""Plans and restore tests: YAML in, typed and true values out, every problem as `file:line`.

`loader.py` reads a plan whole, `restore_tests.py` a restore test, `model.py` is what a plan states, `lint.py` what is
well-formed and still will not do; `yamlfile.py`, `shape.py` and `problems.py` find and tell the mistakes.
"""

from ccdr.plans.loader import (
    LoadedPlan,
    load_named,
    load_plan,
    next_due,
    plan_names,
    plan_schema,
)
from ccdr.plans.model import LimitsInForce, Plan, PlanObjectives, Repository, Retention
from ccdr.plans.restore_tests import restore_test_schema

__all__ = [
    "LimitsInForce",
    "LoadedPlan",
    "Plan",
    "PlanObjectives",
    "Repository",
    "Retention",
    "load_named",
    "load_plan",
    "next_due",
    "plan_names",
    "plan_schema",
    "restore_test_schema",
]
