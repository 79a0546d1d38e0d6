"""Small changes to a module, as a careless hand would make them. A change is known by what it says, not by its line."""

from __future__ import annotations

import ast
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

_ORDER: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.BitXor: ast.BitAnd,
}
_TWINS = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}
_KEYED = {"get", "pop", "setdefault", "startswith", "endswith", "removeprefix", "removesuffix", "split", "partition"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_HEADED = (*_FUNCTIONS, ast.ClassDef, ast.If, ast.While, ast.For, ast.With, ast.Try, ast.Match, ast.ExceptHandler)


@dataclass(frozen=True)
class Mutant:
    """One change: `function` is the way to it (`Slot.wakes`, empty for the module itself), `old` and `new` are the
    statement without what is indented under it. `number` finds it again in this very text."""

    function: str
    old: str
    new: str
    number: int
    lines: range
    inner: bool  # inside a function, so that what is imported already can be changed
    nth: int = 0  # of those that say the same

    @property
    def key(self) -> tuple[str, str, str]:
        return self.function, self.old, self.new


def mutants(text: str) -> list[Mutant]:
    """All changes to a module that make a difference to its text, each once."""
    found: dict[tuple[str, str, str, int], Mutant] = {}
    number = 0
    for statement in ast.parse(text).body:  # each alone: a change to one is no matter of the others
        alone = pickle.dumps(ast.Module([statement], []))
        for nth in range(len(list(_changes(pickle.loads(alone))))):
            mutant, _ = _made(pickle.loads(alone), nth)
            if mutant.old != mutant.new:
                found.setdefault((*mutant.key, mutant.lines.start), replace(mutant, number=number))
            number += 1
    alike: Counter[tuple[str, str, str]] = Counter()
    for place, mutant in found.items():
        found[place] = replace(mutant, nth=alike[mutant.key])
        alike[mutant.key] += 1
    return list(found.values())


def changed(text: str, mutant: Mutant) -> ast.Module:
    return _made(ast.parse(text), mutant.number)[1]


def _made(tree: ast.Module, number: int) -> tuple[Mutant, ast.Module]:
    site = next(s for n, s in enumerate(_changes(tree)) if n == number)
    old = _said(site.statement)
    site.make()
    ast.fix_missing_locations(tree)
    last = _last_line(site.statement)
    return (
        Mutant(site.function, old, _said(site.statement), number, range(site.statement.lineno, last + 1), site.inner),
        tree,
    )


@dataclass(frozen=True)
class _Site:
    function: str
    statement: ast.stmt | ast.ExceptHandler
    inner: bool
    make: Callable[[], None]


def _said(node: ast.AST) -> str:
    """A statement's text; of one that has others under it, only its own."""
    if isinstance(node, _HEADED):
        bare = type(node)(**dict(ast.iter_fields(node)))
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            if name in node._fields:
                setattr(bare, name, [ast.Pass()] if name == "body" else [])
        if isinstance(bare, ast.Match):
            return f"match {ast.unparse(bare.subject)}:"
        if isinstance(bare, ast.Try):
            return "try:"
        text = ast.unparse(ast.fix_missing_locations(bare))
        under = " ".join(line.strip() for line in ast.unparse(node.body[0]).splitlines()[:1])
        return text.rsplit("\n", 1)[0] + (f" {under}" if isinstance(node, ast.ExceptHandler) else "")
    return ast.unparse(node)


def _last_line(node: ast.AST) -> int:
    body = getattr(node, "body", None)
    if isinstance(node, _HEADED) and isinstance(body, list):
        return max(node.lineno, body[0].lineno - 1)
    return node.end_lineno or node.lineno


def _changes(tree: ast.Module) -> Iterator[_Site]:
    yield from _in_block(tree.body, "", False)


def _in_block(block: list[ast.stmt], function: str, inner: bool) -> Iterator[_Site]:
    for place, statement in enumerate(block):
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.Assert | ast.Global | ast.Nonlocal):
            continue
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        yield from _of_statement(block, place, statement, function, inner)


def _of_statement(
    block: list[ast.stmt], place: int, statement: ast.stmt, function: str, inner: bool
) -> Iterator[_Site]:
    def site(make: Callable[[], None]) -> _Site:
        return _Site(function, statement, inner, make)

    if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
        own = f"{function}.{statement.name}" if function else statement.name
        if isinstance(statement, _FUNCTIONS):
            defaults = [d for d in (*statement.args.defaults, *statement.args.kw_defaults) if d is not None]
            for default in defaults:
                for make in _of_expression(statement.args, default):
                    yield _Site(own, statement, inner, make)
            yield from _in_block(statement.body, own, True)
        else:
            yield from _in_block(statement.body, own, inner)
        return
    if inner:
        for make in _whole(block, place, statement):
            # The statement itself is replaced: it is told by what stands there now.
            yield site(make)
    for name, value in ast.iter_fields(statement):
        if name in {"annotation", "target", "targets"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.expr):
                for make in _of_expression(statement, child):
                    yield site(make)
            elif isinstance(child, ast.withitem):
                for make in _of_expression(child, child.context_expr):
                    yield site(make)
    for name in ("body", "orelse", "finalbody"):
        if isinstance(under := getattr(statement, name, None), list):
            yield from _in_block(under, function, inner)
    for handler in getattr(statement, "handlers", []):
        if not isinstance(handler.body[0], ast.Raise) or handler.body[0].exc is not None:
            yield _Site(function, handler, inner, lambda h=handler: _replace_body(h))
        yield from _in_block(handler.body, function, inner)
    for case in getattr(statement, "cases", []):
        if case.guard is not None:
            for make in _of_expression(case, case.guard):
                yield site(make)
        yield from _in_block(case.body, function, inner)


def _replace_body(handler: ast.ExceptHandler) -> None:
    handler.body[:] = [ast.copy_location(ast.Raise(), handler.body[0])]


def _whole(block: list[ast.stmt], place: int, statement: ast.stmt) -> Iterator[Callable[[], None]]:
    """A statement left out, or another in its place."""

    def instead(new: ast.stmt) -> Callable[[], None]:
        def make() -> None:
            old = ast.unparse(statement)
            statement.__class__ = new.__class__  # in place, so that its text is told by the same node
            for name in statement._fields:
                setattr(statement, name, getattr(new, name, None))
            assert ast.unparse(statement) != old

        return make

    if isinstance(statement, ast.Expr | ast.AugAssign | ast.Raise | ast.Delete) and not (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Yield | ast.YieldFrom)
    ):
        yield instead(ast.Pass())
    elif isinstance(statement, ast.Continue):
        yield instead(ast.Break())
    elif isinstance(statement, ast.Break):
        yield instead(ast.Continue())
    elif isinstance(statement, ast.Return) and statement.value is not None:
        if isinstance(statement.value, ast.Constant) and statement.value.value is None:
            return
        if not _is_test(statement.value):
            yield instead(ast.Return(ast.Constant(None)))


def _is_test(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Compare)
        or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))
        or (isinstance(node, ast.Constant) and isinstance(node.value, bool))
        or (isinstance(node, ast.BoolOp) and all(_is_test(v) for v in node.values))
    )


def _of_expression(parent: ast.AST, node: ast.expr) -> Iterator[Callable[[], None]]:
    """Changes to an expression, and to all within it."""

    def instead(new: Callable[[], ast.expr]) -> Callable[[], None]:
        return lambda: _swap(parent, node, ast.copy_location(new(), node))

    match node:
        case ast.Compare(ops=ops):
            for n, op in enumerate(ops):
                for other in _ORDER[type(op)]:
                    yield lambda n=n, other=other: ops.__setitem__(n, other())
        case ast.BoolOp(op=op, values=values):
            yield lambda: setattr(node, "op", ast.Or() if isinstance(op, ast.And) else ast.And())
            for n in range(len(values)):
                rest = [v for m, v in enumerate(values) if m != n]
                yield instead(lambda rest=rest: rest[0] if len(rest) == 1 else ast.BoolOp(op, rest))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield instead(lambda: operand)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            yield instead(lambda: ast.Constant(0 if value == 1 else -value + 1))
            return
        case ast.BinOp(op=op, left=left):
            text = isinstance(left, ast.Constant | ast.JoinedStr) and isinstance(getattr(left, "value", ""), str)
            if type(op) in _ARITHMETIC and not text:
                yield lambda: setattr(node, "op", _ARITHMETIC[type(op)]())
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield lambda: (setattr(node, "body", orelse), setattr(node, "orelse", body), None)[-1]
        case ast.Constant(value=bool() as value):
            yield instead(lambda: ast.Constant(not value))
        case ast.Constant(value=int() | float() as value):
            yield instead(lambda: ast.Constant(value + 1))
            if value == 1:
                yield instead(lambda: ast.Constant(0))
        case ast.Constant(value=str() as value) if _is_code(parent, node):
            yield instead(lambda: ast.Constant("other" if not value else ""))
        case ast.Call(func=func, args=args, keywords=keywords):
            if isinstance(func, ast.Name) and func.id in _TWINS:
                if func.id != "sorted":
                    yield lambda: setattr(node, "func", ast.copy_location(ast.Name(_TWINS[func.id], ast.Load()), func))
                else:
                    yield instead(lambda: ast.Call(ast.Name("list", ast.Load()), args, []))
            for keyword in keywords:
                if keyword.arg not in {None, "hint", "strict"}:
                    yield lambda keyword=keyword: keywords.remove(keyword)
        case ast.List(elts=elts) | ast.Tuple(elts=elts) | ast.Set(elts=elts):
            for element in elts:
                if isinstance(element, ast.Starred):
                    yield lambda element=element: elts.remove(element)
        case ast.Dict(keys=keys, values=values):
            for n, key in enumerate(keys):
                if key is None:
                    yield lambda n=n: (keys.pop(n), values.pop(n), None)[-1]
        case ast.Subscript(slice=ast.Slice() as cut):
            if cut.lower is not None:
                yield lambda: setattr(cut, "lower", None)
            if cut.upper is not None:
                yield lambda: setattr(cut, "upper", None)
        case ast.Subscript(slice=ast.Constant(value=0) as at):
            yield lambda: setattr(node, "slice", ast.copy_location(ast.UnaryOp(ast.USub(), ast.Constant(1)), at))
            yield from _of_expression(node, node.value)
            return
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            for generator in node.generators:
                for n in range(len(generator.ifs)):
                    yield lambda generator=generator, n=n: generator.ifs.pop(n)
        case _:
            pass
    for name, value in ast.iter_fields(node):
        if name == "format_spec" or (isinstance(node, ast.Lambda) and name == "args"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.expr):
                yield from _of_expression(node, child)
            elif isinstance(child, ast.keyword):
                if child.arg != "hint":
                    yield from _of_expression(child, child.value)
            elif isinstance(child, ast.comprehension):
                yield from _of_expression(child, child.iter)
                for test in child.ifs:
                    yield from _of_expression(child, test)
                    if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
                        yield lambda child=child, test=test: _swap(child, test, ast.UnaryOp(ast.Not(), test))
    if isinstance(parent, ast.If | ast.While) and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp):
        yield instead(lambda: ast.UnaryOp(ast.Not(), node))


def _is_code(parent: ast.AST, node: ast.expr) -> bool:
    """Is a text one that a program goes by (and not one for people)?"""
    if isinstance(parent, ast.Compare):
        return True
    if isinstance(parent, ast.Subscript):
        return parent.slice is node
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr in _KEYED:
        return bool(parent.args) and parent.args[0] is node
    return False


def _swap(parent: ast.AST, old: ast.expr, new: ast.expr) -> None:
    for name, value in ast.iter_fields(parent):
        if value is old:
            setattr(parent, name, new)
            return
        if isinstance(value, list):
            for n, child in enumerate(value):
                if child is old:
                    value[n] = new
                    return
    raise AssertionError(f"{ast.unparse(old)} is not in {type(parent).__name__}")
