"""When each schedule was last tried: the slots on disk."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ccdr.host.files import write_durably
from ccdr.host.state import State
from ccdr.model.schedule import Slot
from ccdr.model.values import rfc3339, utc
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
        try:
            body = json.loads(self._path(task).read_text("utf-8"))
            for key in ("settled", "pending", "retry_at"):
                body[key] = body[key] and utc(body[key])
            return Slot(**body)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, task: Task, slot: Slot) -> None:
        body = asdict(slot)
        for key in ("settled", "pending", "retry_at"):
            body[key] = body[key] and rfc3339(body[key])
        write_durably(self._path(task), json.dumps(body) + "\n")

    def _path(self, task: Task) -> Path:
        return self._state.root / "schedule" / f"{self._name(task)}.json"

    @staticmethod
    def _name(task: Task) -> str:
        return f"{task.plan}.{task.asset or (f'@{task.copy}' if task.copy else '')}.{task.verb}"
