"""What makes a house hard to live in, counted: `python -m tests.house`. No test asserts it; a change is told before and
after.

Files past 300 lines, functions past 40, names of classes that stand for more than one thing, rooms that import each
other, modules outside of a room, and the longest lines of the papers.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").is_file())
SOURCE = ROOT / "src/ccdr"
FILE, FUNCTION, WIDTH, SHOWN = 300, 40, 100, 12


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE), ast.parse(path.read_text("utf-8"))


def length(node: ast.AST) -> int:
    return int(node.end_lineno or 0) - int(node.lineno) + 1  # type: ignore[attr-defined]


def room(module: str) -> str:
    """The room that a module lies in: `ccdr.engines.redis.engine` lies in `engines`; a loose one is its own."""
    return module.split(".")[1] if module.count(".") else module


def imported(tree: ast.Module) -> set[str]:
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{a.name}" for a in node.names} if node.module == "ccdr" else {node.module}
    return {name for name in names if name.startswith("ccdr.")}


def main() -> None:
    files, functions = list[tuple[int, str]](), list[tuple[int, str]]()
    classes, arrows = defaultdict[str, list[str]](list), defaultdict[str, set[str]](set)
    for path, tree in trees():
        lines = (SOURCE / path).read_text("utf-8").count("\n")
        files.append((lines, str(path)))
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions.append((length(node), f"{path}: {node.name}"))
        for one in tree.body:
            if isinstance(one, ast.ClassDef) and not one.name.startswith("_"):
                classes[one.name].append(str(path))
        own = room("ccdr." + ".".join(path.with_suffix("").parts))
        arrows[own] |= {room(name) for name in imported(tree)} - {own}
    show(f"files past {FILE} lines", [f"{n:5} {what}" for n, what in sorted(files, reverse=True) if n > FILE])
    show(f"functions past {FUNCTION} lines", [f"{n:5} {w}" for n, w in sorted(functions, reverse=True) if n > FUNCTION])
    twice = {name: where for name, where in classes.items() if len(where) > 1}
    show("classes' names that stand for more than one thing",
         [f"{name} ×{len(where)}: {', '.join(where)}" for name, where in sorted(twice.items())])  # fmt: skip
    show("rooms that import each other", [f"{a} ↔ {b}" for a in sorted(arrows) for b in sorted(arrows[a]) if a < b and a in arrows[b]])  # fmt: skip
    loose = sorted(p.stem for p in SOURCE.glob("*.py") if p.stem not in ("__init__", "__main__", "wiring"))
    show("modules outside of a room", loose)
    papers = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    longest = sorted(((widest(p), str(p.relative_to(ROOT))) for p in papers), reverse=True)
    show(f"papers with lines past {WIDTH} characters of prose", [f"{n:5} {what}" for n, what in longest if n > WIDTH])


def widest(page: Path) -> int:
    """Characters of the longest line that is no table and stands in no block of code."""
    prose = re.sub(r"^( *)```.*?^\1```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return max((len(line) for line in prose.splitlines() if not line.lstrip().startswith("|")), default=0)


def show(what: str, found: list[str]) -> None:
    print(f"{len(found):4} {what}")
    for line in found[:SHOWN]:
        print(f"       {line}")
    if len(found) > SHOWN:
        print(f"       and {len(found) - SHOWN} more")


if __name__ == "__main__":
    main()
