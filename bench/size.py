"""How large the program is: `make size`. For each room of `src/ccdr`: modules, statements (nodes of the syntax tree
that are statements, without imports and docstrings), names (functions and classes), all nodes, and the lines of files
that are not Python (SQL, Jinja templates, YAML)."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "ccdr"
COLUMNS = ("modules", "statements", "names", "nodes", "sql", "jinja", "yaml")
OTHER = {".sql": "sql", ".html": "jinja", ".yaml": "yaml"}
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def module_size(text: str) -> dict[str, int]:
    """Of one module's source, by column."""
    nodes = list(ast.walk(ast.parse(text)))
    statements = [n for n in nodes if isinstance(n, ast.stmt) and not isinstance(n, (ast.Import, ast.ImportFrom))]
    documented = [n for n in nodes if isinstance(n, (ast.Module, *NAMED)) and ast.get_docstring(n) is not None]
    names = sum(isinstance(n, NAMED) for n in nodes)
    return {"modules": 1, "statements": len(statements) - len(documented), "names": names, "nodes": len(nodes)}


def sizes(source: Path) -> dict[str, dict[str, int]]:
    """By room, by column; the modules of the package itself are the room `.`."""
    rooms: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    for path in source.rglob("*"):
        if path.suffix != ".py" and path.suffix not in OTHER:
            continue
        parts = path.relative_to(source).parts
        room, text = rooms[parts[0] if len(parts) > 1 else "."], path.read_text()
        size = module_size(text) if path.suffix == ".py" else {OTHER[path.suffix]: len(text.splitlines())}
        for column, number in size.items():
            room[column] += number
    return dict(sorted(rooms.items()))


def main() -> None:
    rooms = sizes(SOURCE)
    total = {column: sum(room[column] for room in rooms.values()) for column in COLUMNS}
    print(f"{'room':<10}" + "".join(f"{column:>12}" for column in COLUMNS))
    for name, room in [*rooms.items(), ("all", total)]:
        print(f"{name:<10}" + "".join(f"{room[column]:>12,}" for column in COLUMNS))


if __name__ == "__main__":
    main()
