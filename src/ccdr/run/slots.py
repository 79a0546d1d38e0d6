"""When each schedule was last tried: the slots on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ccdr.host.state import State
from ccdr.host.state_files import state_or_none, write_state
from ccdr.model.schedule import Slot
from ccdr.run.tasks import Task


class Slots:
    """The slots on disk: STATE/schedule/PLAN.ASSET.VERB.json."""

    def __init__(self, state: State) -> None:
        self._state = state

    @contextlib.contextmanager
    def turn(self, task: Task) -> Iterator[bool]:
        """Is it our turn? The lock is given back by any death of this process."""
        with self._state.turn(f"run.{self._name(task)}") as mine:
            yield mine

    def read(self, task: Task) -> Slot | None:
        """None for a task that was never seen, or whose slot cannot be read: then it counts from now."""
        return state_or_none(self._path(task), Slot)

    def write(self, task: Task, slot: Slot) -> None:
        write_state(self._path(task), slot)

    def _path(self, task: Task) -> Path:
        return self._state.root / "schedule" / f"{self._name(task)}.json"

    @staticmethod
    def _name(task: Task) -> str:
        return f"{task.plan}.{task.asset or (f'@{task.copy}' if task.copy else '')}.{task.verb}"
