"""Has a record what the fold goes by, of the right type? What has not tells nothing."""

from __future__ import annotations

from ccdr.evidence.history.kinds import (
    BACKUP_END,
    CAUGHT,
    CHECKED,
    CLEAN,
    CONTROLLED,
    DAMAGED,
    DONE,
    DUTIES,
    FAILED,
    GROUP,
    INCONCLUSIVE,
    MISSED,
    NOT_BEGUN,
    PASSED,
    PRUNED,
    RECOVER_END,
    RESTORE_END,
    STORED,
    TEST_END,
    VERDICTS,
)
from ccdr.evidence.pauses import PAUSE_BEGIN
from ccdr.evidence.verdicts import (
    Record,
)

_NEEDED: dict[str, dict[str, type | tuple[str, ...]]] = {
    BACKUP_END: {"result": (STORED, FAILED)},
    TEST_END: {"verdict": (*VERDICTS, "SKIPPED")},
    CONTROLLED: {"result": (CAUGHT, PASSED, INCONCLUSIVE)},
    RESTORE_END: {"result": ("RESTORED", FAILED, "REFUSED")},
    RECOVER_END: {"state": ("done", "paused_by_failed_step", "failed")},
    PRUNED: {"result": (DONE, FAILED)},
    CHECKED: {"result": (CLEAN, DAMAGED, INCONCLUSIVE), "part": int, "parts": int},
    MISSED: {"count": int},
    NOT_BEGUN: {"verb": str},
    GROUP: {"group": str, "missing": list},
    DUTIES: {"verbs": list},
    PAUSE_BEGIN: {"until": str},
}


def understood(record: Record) -> bool:
    """Has it what the fold goes by, of the right type? What has not tells nothing, and no ccdr has written it so."""

    needed = _NEEDED.get(record["kind"])
    if needed is not None:
        for key, of in needed.items():
            value = record.get(key)
            if not (value in of if isinstance(of, tuple) else isinstance(value, of)):
                return False
    return True
