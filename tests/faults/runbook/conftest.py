from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.harness import Ran, Site

Written = Callable[..., Site]


@pytest.fixture
def with_runbook(site: Site) -> Written:
    """A plan of one tree, and these steps (YAML, a step a line); `{out}` is a file that commands write to."""

    def write(steps: str, extra: str = "") -> Site:
        lines = "".join(f"  {line}\n" for line in steps.replace("{out}", str(out_of(site))).strip().splitlines())
        site.plan("rec: {engine: files, paths: [/srv/x]}", extra=f"{extra}runbook:\n{lines}")
        return site

    return write


def out_of(site: Site) -> Path:
    return site.root / "out"


def ran(site: Site) -> list[str]:
    """What commands have written, in order."""
    return out_of(site).read_text("utf-8").split() if out_of(site).exists() else []


def states(done: Ran) -> dict[str, str]:
    return {step["step"]: step["state"] for step in done.json["steps"]}
