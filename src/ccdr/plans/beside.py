"""What no plan shows alone: two plans that name one repository, and open it with different keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ccdr.host.secrets import env_file
from ccdr.model.errors import FileProblem, UsageProblem
from ccdr.plans.loader import LoadedPlan
from ccdr.plans.model import Repository

_DO = "name the same file in both, or another URL in one"


def at_odds(loaded: LoadedPlan, every: Iterable[LoadedPlan]) -> Iterator[FileProblem]:
    """Repositories of `loaded` that it, or another of the plans, opens with another password or other credentials. No
    command is run for that: two commands are compared as they are written."""
    around = [loaded, *(one for one in every if one.path != loaded.path)]
    others = [(one, place, named) for one in around for place, named in _places(one)]
    for place, own in _places(loaded):
        for other, there, named in others:
            if _url(named) != _url(own) or (other is loaded and (there == place or place == "repository")):
                continue  # of the plan's own two it is told at the second
            where = f"{other.path}:{other.line((there,))}"
            for key, what in _differing(own, named):
                problem = (
                    f"{there} at {where} names the same repository with {what}, and one of the two may not open it"
                )
                yield FileProblem(str(loaded.path), loaded.line((place, key)), f"{place}.{key}", f"{problem}: {_DO}")


def _places(loaded: LoadedPlan) -> Iterator[tuple[str, Repository]]:
    yield "repository", loaded.plan.repository
    if loaded.plan.ledger_repository is not None:
        yield "ledger_repository", loaded.plan.ledger_repository


def _url(repository: Repository) -> str:
    return repository.url.rstrip("/")


def _differing(own: Repository, other: Repository) -> Iterator[tuple[str, str]]:
    """The key where it differs, and what the other has."""
    key = "password_file" if own.password_file is not None else "password_command"
    if _password(own) != _password(other):
        yield key, "another password"
    if _credentials(own) != _credentials(other):
        yield ("env_file" if own.env_file is not None else key), "other credentials (env_file)"


def _password(repository: Repository) -> object:
    path = repository.password_file
    if path is None:
        return repository.password_command
    try:
        return path.read_text("utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError):
        return path  # that it cannot be read is told by itself


def _credentials(repository: Repository) -> object:
    path = repository.env_file
    if path is None:
        return None
    try:
        return env_file(path)
    except UsageProblem:
        return path
