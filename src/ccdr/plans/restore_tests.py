"""`restore_tests/<name>.yaml`: the checks that a restored asset must pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from ccdr.checks import AnyCheck
from ccdr.model.errors import FileProblem, PlanInvalid, UsageProblem
from ccdr.model.schema import Name, Strict
from ccdr.plans.own_file import OwnFile
from ccdr.plans.problems import did_you_mean
from ccdr.plans.shape import editor_schema
from ccdr.plans.yamlfile import Document, YamlProblem


class RestoreTestFile(Strict):
    """Named checks, shared by the assets that refer to them."""

    restore_test: Name = Field(description="the file's name without .yaml")
    checks: tuple[AnyCheck, ...] = Field(description="what is checked, in this order; without checks nothing passes")


LoadedRestoreTest = OwnFile[RestoreTestFile]


def load_restore_test(path: Path) -> LoadedRestoreTest:
    """PlanInvalid with every problem of the file; UsageProblem where it cannot be read."""

    def stem(document: Document) -> list[YamlProblem]:
        return wrong_stem(document.data, "restore_test", path, document.line(("restore_test",)))

    return LoadedRestoreTest.load(RestoreTestFile, path.name, path, None, stem, AnyCheck)


def wrong_stem(data: Any, key: str, path: Path, line: int) -> list[YamlProblem]:
    """A file says its own name, so that a copy is not taken for the original."""
    name = data.get(key) if isinstance(data, dict) else None
    if not isinstance(name, str) or name == path.stem:
        return []
    return [YamlProblem(line, (key,), f"is not the file's name, expected {ascii(path.stem)[1:-1]}")]


def load_restore_tests(
    names: Iterable[str], directory: Path
) -> tuple[Mapping[str, LoadedRestoreTest], Mapping[str, str], list[FileProblem]]:
    """Each file once: those that are right, why others cannot be read, and the problems of wrong ones."""
    right: dict[str, LoadedRestoreTest] = {}
    unreadable: dict[str, str] = {}
    problems: list[FileProblem] = []
    for name in dict.fromkeys(names):
        try:
            right[name] = load_restore_test(directory / f"{name}.yaml")
        except PlanInvalid as error:
            problems += error.problems
        except UsageProblem as error:
            unreadable[name] = f"{error}, {_instead(name, directory)}"
    return right, unreadable, problems


def _instead(name: str, directory: Path) -> str:
    try:
        known = sorted(file.stem for file in directory.glob("[!.]*.yaml"))
    except OSError:
        known = []
    if meant := did_you_mean(name, known):
        return f"did you mean {meant}?"
    return f"expected one of {', '.join(known)}" if known else f"expected restore tests in {directory}"


def restore_test_schema() -> dict[str, Any]:
    """JSON Schema of a restore-test file, for editors."""
    return editor_schema(RestoreTestFile)
