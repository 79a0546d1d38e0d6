"""What is wrong with a ledger: a sentence, with a stable code for programs."""

from __future__ import annotations

LEDGER = "LEDGER"  # the code of a sentence that has none of its own


class LedgerProblem(str):
    """A sentence. `record`: the number of the record that it is about, where that is known."""

    __slots__ = ("code", "record")
    code: str
    record: int | None

    def __new__(cls, text: str, code: str = LEDGER, record: int | None = None) -> LedgerProblem:
        made = super().__new__(cls, text)
        made.code, made.record = code, record
        return made

    def __reduce__(self) -> tuple[type[LedgerProblem], tuple[str, str, int | None]]:
        return LedgerProblem, (str(self), self.code, self.record)

    def fit_to_print(self) -> LedgerProblem:
        """Whatever names and values it quotes."""
        text = self.encode("utf-8", "backslashreplace").decode()
        return LedgerProblem(text, self.code, self.record)


def as_findings(problems: object) -> list[dict[str, object]]:
    """For `--json`: of sentences, of those that have a code, and of findings that tell themselves."""
    assert isinstance(problems, (list, tuple))
    return [_as_finding(one) for one in problems]


def _as_finding(one: object) -> dict[str, object]:
    if hasattr(one, "as_json"):
        return dict(one.as_json())
    return {"code": getattr(one, "code", LEDGER), "text": str(one), "record": getattr(one, "record", None)}
