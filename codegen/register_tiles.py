"""Register tiles: some rows of a loop nest at a time, so that what they share is loaded once for all of them.

In `for i: for j: s += w[j] * X[i, j]` every row loads all of w, and in `for i: for j: g[j] += r * X[i, j]` every row
loads and stores all of g. `rewrite` unrolls the loop over rows and jams the copies of the loop inside into one, in
which w[j] and g[j] are registers; a second loop does the rows that are left. It works on a module's syntax tree when
that is compiled, as `accumulate` does: the text that a user sees says what is computed, and computes the same. The
additions to an element keep their order, so only sums whose order is open anyway (see `accumulate`) may round
otherwise, and never otherwise for another number of threads.

`_Nest` finds out whether rows may run together: one simple loop inside, nothing carried from row to row but what stays
in order, no array written where another row may touch the same element. Whether they should is a count of instructions:
those that rows share against all of them. Source: S. Carr and K. Kennedy, "Improving the ratio of memory operations to
floating-point operations in loops" (1994), on unroll-and-jam. What runs along vectors is decided in `tiles`.
"""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Collection, Iterable, Iterator

from .accumulate import ADD, EXTREMA
from .tiles import SHORT

ROWS = 4                # that run together: more need more registers than there are
LEAST_SAVED = 1 / 6     # of the instructions of a row: a sum over `shared[j] * (own[i, j] - c)` is just above
MOST_STATEMENTS = 6     # in the loop inside: more fill the registers without being repeated
SLOW = 8                # instructions that a division or a square root counts as
COSTS = {ADD: 0, "float32": 0, "abs": 1, "maximum": 1, "minimum": 1, **dict.fromkeys(EXTREMA.values(), 1), "sqrt": SLOW}
REDUCING = frozenset({ADD, *EXTREMA.values()})
PREFIX = "_gradc_row"
SPLIT = "_gradc_rows"

Elements = dict[str, tuple[str, ast.Subscript]]                 # in registers, by their text: the register, the element


def rewrite(tree: ast.Module, names: Collection[str]) -> dict[int, int]:
    """Let nests in a module's syntax tree, whose accumulations are rewritten, work on some rows at a time; in place.

    names  the functions to look at: in them, arrays of different names have no memory in common

    Returns the number of rows that run together by the line of the loop over rows.
    """
    rewriter = _Rewriter()
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name in names:
            rewriter.generic_visit(function)
    if rewriter.found:
        ast.fix_missing_locations(tree)
    return rewriter.found


class _Rewriter(ast.NodeTransformer):
    """Puts two loops in the place of one over rows."""

    def __init__(self) -> None:
        self.found: dict[int, int] = {}
        self.count = itertools.count()

    def visit_For(self, node: ast.For) -> ast.AST | list[ast.stmt]:
        """A nest that is taken has no other in it."""
        nest = _Nest.of(node)
        if nest is None or not nest.may_jam() or nest.saved() < LEAST_SAVED:
            return self.generic_visit(node)
        self.found[node.lineno] = ROWS
        return nest.jammed(next(self.count))


class _Nest:
    """A loop over rows with one loop in it.

    i, j                 the axes of the loop over rows and of the loop inside
    low, high            the bounds of the rows
    before, body, after  the statements before the loop inside, in it, and after it
    assigned, private    the locals that a row gives values, and those of them that no row takes over from another
    written              the arrays that are written
    """

    def __init__(self, row: ast.For, inner: ast.For, place: int) -> None:
        self.row, self.inner = row, inner
        self.before, self.body, self.after = row.body[:place], inner.body, row.body[place + 1:]
        self.i, self.j = _target(row), _target(inner)
        *low, self.high = _bounds(row) or [ast.Constant(0)]
        self.low: ast.expr = low[0] if low else ast.Constant(0)
        self.assigned = {name.id for name in _names(row.body) if isinstance(name.ctx, ast.Store)}
        self.private = {name for name in self.assigned - {self.j} if self._is_private(name)}
        self.written = {_array(node) for node in _subscripts(row.body) if isinstance(node.ctx, ast.Store)}

    @classmethod
    def of(cls, loop: ast.For) -> _Nest | None:
        """The nest of a loop over rows, if its statements are of the simple kinds; None for any other."""
        places = [k for k, statement in enumerate(loop.body) if isinstance(statement, ast.For)]
        if len(places) != 1 or not isinstance(inner := loop.body[places[0]], ast.For):
            return None
        statements = [statement for statement in loop.body if statement is not inner] + inner.body
        bounds = [_bounds(loop), _bounds(inner)]
        if loop.orelse or inner.orelse or not all(map(_is_simple, statements)):
            return None
        if not all(found is not None and all(map(_is_pure, found)) for found in bounds):
            return None
        return cls(loop, inner, places[0])

    # -- whether rows may run together --------------------------------------------------------

    def may_jam(self) -> bool:
        """Whether no row needs what another has done, or does so in an order that is kept."""
        arrays = list(_subscripts(self.row.body))
        if any(not isinstance(node.value, ast.Name) for node in arrays if isinstance(node.ctx, ast.Store)):
            return False
        if any({name.id for name in _names([node.value])} & self.assigned for node in arrays):
            return False                                        # a part of an array that has another name
        return (self._has_fixed_bounds() and all(map(self._keeps_name, sorted(self.assigned - self.private)))
                and all(map(self._keeps_array, sorted(self.written))))

    def _has_fixed_bounds(self) -> bool:
        """Whether the rows are known before the nest, and all are equally long."""
        names = {name.id for loop in (self.row, self.inner) for name in _names(_bounds(loop) or ())}
        return not names & (self.assigned | {self.i})

    def _is_private(self, name: str) -> bool:
        """Whether every row gives a local its value before it reads it: then each row has one of its own."""
        parts = [k for k, part in enumerate((self.before, self.body, self.after)) if _mentions(part, name)]
        first = next(s for s in (*self.before, *self.body, *self.after) if _mentions([s], name))
        return (isinstance(first, ast.Assign) and not _mentions([first.value], name)
                and _is_name(first.targets[0], name) and (parts[0] != 1 or parts == [1]))

    def _keeps_name(self, name: str) -> bool:
        """Whether a local that goes from row to row is touched in the rows' order, or by a sum whose order is open."""
        if name in (self.i, self.j) and any(_mentions(part, name, ast.Store) for part in (
                self.before, self.body, self.after)):
            return False
        if name == self.j:
            return not _mentions([*self.before, *self.after], name)
        where = [part for part in (self.before, self.body, self.after) if _mentions(part, name)]
        if len(where) > 1:
            return False
        return where[0] is not self.body or all(
            _reduces(s, name) for s in self.body if _mentions([s], name))

    def _keeps_array(self, array: str) -> bool:
        """Whether rows that run together touch elements of an array in an order that gives the same.

        They do where the array is touched only before or only after the loop inside, where each row has elements of its
        own, and where each round of the loop inside has.
        """
        parts = (self.before, self.body, self.after)
        if any(_mentions_whole(part, array) for part in parts):
            return False
        places = {k: [node for node in _subscripts(part) if _array(node) == array] for k, part in enumerate(parts)}
        where = [k for k, nodes in places.items() if nodes]
        if where in ([0], [2]):
            return True
        nodes = [node for k in where for node in places[k]]
        texts = [list(map(ast.dump, _index(node))) for node in nodes]
        own = [position for position, index in enumerate(_index(nodes[0])) if _is_shifted(index, self.i, self.assigned)]
        if any(all(len(text) > p and text[p] == texts[0][p] for text in texts) for p in own):
            return True
        return where == [1] and all(text == texts[0] for text in texts) and self._is_shared(nodes[0])

    def _is_shared(self, node: ast.Subscript) -> bool:
        """Whether all rows touch the same element of an array in the same round of the loop inside."""
        names = {name.id for name in _names([node.slice])}
        return (not names & ((self.assigned | {self.i}) - {self.j}) and not list(_subscripts([node.slice]))
                and any(_is_shifted(index, self.j, self.assigned - {self.j}) for index in _index(node)))

    # -- whether they should ------------------------------------------------------------------

    def saved(self) -> float:
        """The part of the instructions of a row that is left out; 0 for a nest that does not run along vectors."""
        if _is_below(self.row, ROWS) or _is_below(self.inner, SHORT) or len(self.body) > MOST_STATEMENTS:
            return 0.0
        if not all(map(self._is_contiguous, _subscripts(self.body))):
            return 0.0
        stored = self._stored()
        accesses = {_key(node): node for node in _subscripts(self.body) if _mentions([node.slice], self.j)}
        weights = {key: 2 if key in stored else 1 for key in accesses}
        shared = sum(weights[key] for key, node in accesses.items() if self._is_shared(node))
        whole = sum(weights.values()) + sum(map(_cost, self.body))
        return shared * (1 - 1 / ROWS) / whole if whole else 0.0

    def _is_contiguous(self, node: ast.Subscript) -> bool:
        """Whether an access stays where it is from round to round, or goes to the next element."""
        *outer, last = _index(node)
        return not any(_mentions([index], self.j) for index in outer) and (
            not _mentions([last], self.j) or _is_shifted(last, self.j, self.assigned - {self.j}))

    # -- the two loops ------------------------------------------------------------------------

    def jammed(self, number: int) -> list[ast.stmt]:
        """The loop over some rows at a time, and that over the rest."""
        split = f"{SPLIT}_{number}"
        low, high = ast.unparse(self.low), ast.unparse(self.high)
        whole = ast.parse(f"{split} = {low} + max({high} - ({low}), 0) // {ROWS} * {ROWS}").body[0]
        for node in ast.walk(whole):
            ast.copy_location(node, self.row)
        shared, stored, rows = self._shared_elements(number), self._stored(), range(ROWS)
        fixed = [self._row_elements(number, row) for row in rows]
        loop = copy.deepcopy(self.inner)
        loop.body = [_let(name, _loaded(node)) for name, node in shared.values()]
        loop.body += [made for row in rows for made in self._row(self.body, row, {**shared, **fixed[row]})]
        loop.body += [ast.Assign([_stored(node)], ast.Name(name, ast.Load()))
                      for key, (name, node) in shared.items() if key in stored]
        several = copy.deepcopy(self.row)
        _set_range(several, [self.low, ast.Name(split, ast.Load()), ast.Constant(ROWS)])
        several.body = [made for row in rows for made in self._row(self.before, row, {})]
        several.body += [made for row in rows for made in self._row(
            [_let(name, _loaded(node)) for name, node in fixed[row].values()], row, {})]
        several.body += [loop, *(made for row in rows for made in self._row(self.after, row, {}))]
        for statement in loop.body:
            _place(statement, self.inner.body[0])
        for statement in several.body:
            _place(statement, self.inner)
        _set_range(self.row, [ast.Name(split, ast.Load()), self.high])
        return [whole, several, self.row]

    def _stored(self) -> set[str]:
        """The elements that the loop inside writes."""
        return {_key(node) for node in _subscripts(self.body) if isinstance(node.ctx, ast.Store)}

    def _shared_elements(self, number: int) -> Elements:
        """The elements that rows share in a round of the loop inside, each with a name for the register that it is."""
        found: Elements = {}
        for node in _subscripts(self.body):
            if self._is_shared(node) and _key(node) not in found:
                found[_key(node)] = f"{PREFIX}_shared_{number}_{len(found)}", node
        return found

    def _row_elements(self, number: int, row: int) -> Elements:
        """The elements that stay the same in the loop inside, each with a name for the register that it is in a row."""
        stored = {_array(node) for node in _subscripts(self.body) if isinstance(node.ctx, ast.Store)}
        varying = {self.j} | {name.id for name in _names(self.body) if isinstance(name.ctx, ast.Store)}
        found: Elements = {}
        for node in _subscripts(self.body):
            names = {name.id for name in _names([node])}
            if not names & varying and _array(node) not in stored and _key(node) not in found:
                found[_key(node)] = f"{PREFIX}_element_{number}_{row}_{len(found)}", node
        return found

    def _row(self, statements: Iterable[ast.stmt], row: int, registers: Elements) -> list[ast.stmt]:
        """The statements for one of the rows; the last keeps the names of its locals."""
        copier = _Copier(self.i, row, self.private if row < ROWS - 1 else (), registers)
        return [copier.visit(copy.deepcopy(statement)) for statement in statements]


class _Copier(ast.NodeTransformer):
    """Makes of a statement that for one of some rows."""

    def __init__(self, i: str, row: int, private: Collection[str], registers: Elements) -> None:
        self.i, self.row, self.private, self.registers = i, row, private, registers

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """An element that was loaded before is in a register."""
        known = self.registers.get(_key(node))
        return self.generic_visit(node) if known is None else ast.copy_location(ast.Name(known[0], node.ctx), node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """The row's own index, the row's own locals."""
        if node.id == self.i and self.row:
            return ast.copy_location(ast.BinOp(node, ast.Add(), ast.Constant(self.row)), node)
        if node.id in self.private:
            node.id = f"{PREFIX}_{self.row}_{node.id}"
        return node


# -- reading a syntax tree ------------------------------------------------------------------------


def _bounds(loop: ast.For) -> list[ast.expr] | None:
    """The arguments of a range that runs up by ones; None for any other loop."""
    call = loop.iter
    if not (isinstance(call, ast.Call) and _is_name(call.func, "range") and isinstance(loop.target, ast.Name)):
        return None
    return call.args if len(call.args) in (1, 2) else None


def _is_below(loop: ast.For, number: int) -> bool:
    """Whether a loop has fewer rounds than some number, whatever the sizes are."""
    bounds = _bounds(loop) or []
    return len(bounds) == 1 and isinstance(bounds[0], ast.Constant) and isinstance(
        bounds[0].value, int) and bounds[0].value < number


def _set_range(loop: ast.For, bounds: list[ast.expr]) -> None:
    assert isinstance(loop.iter, ast.Call)
    loop.iter.args = copy.deepcopy(bounds)


def _target(loop: ast.For) -> str:
    assert isinstance(loop.target, ast.Name)
    return loop.target.id


def _is_simple(statement: ast.stmt) -> bool:
    """Whether a statement gives one local or element a value and does nothing else, whatever the values are."""
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AugAssign):
        targets = [statement.target]
    else:
        return False
    return len(targets) == 1 and isinstance(targets[0], (ast.Name, ast.Subscript)) and not any(
        isinstance(node, (ast.Slice, ast.NamedExpr, ast.Starred)) for node in ast.walk(statement))


def _is_pure(bound: ast.expr) -> bool:
    """Whether a bound can be evaluated again and gives the same."""
    return not any(isinstance(node, (ast.Subscript, ast.NamedExpr)) or (isinstance(node, ast.Call) and not (
        isinstance(node.func, ast.Name) and node.func.id in ("min", "max"))) for node in ast.walk(bound))


def _cost(statement: ast.stmt) -> float:
    """The instructions of a statement beside its accesses to memory; infinite where there are choices and functions.

    A product and a sum are one instruction.
    """
    sums, products, rest = int(isinstance(statement, ast.AugAssign)), 0, 0.0
    indices = {inner for node in _subscripts([statement]) for inner in ast.walk(node.slice)}
    for node in ast.walk(statement):
        if node in indices:
            continue
        if isinstance(node, (ast.IfExp, ast.BoolOp, ast.Compare)):
            return float("inf")
        if isinstance(node, ast.Call):
            rest += COSTS.get(node.func.id, float("inf")) if isinstance(node.func, ast.Name) else float("inf")
            sums += isinstance(node.func, ast.Name) and node.func.id == ADD
        elif isinstance(node, ast.BinOp):
            sums += isinstance(node.op, (ast.Add, ast.Sub))
            products += isinstance(node.op, ast.Mult)
            rest += 0 if isinstance(node.op, (ast.Add, ast.Sub, ast.Mult)) else SLOW
    return max(sums, products) + rest


def _reduces(statement: ast.stmt, name: str) -> bool:
    """Whether a statement is an accumulation whose order is open, into a local that it reads nowhere else."""
    return (isinstance(statement, ast.Assign) and _is_name(statement.targets[0], name)
            and isinstance(call := statement.value, ast.Call) and isinstance(call.func, ast.Name)
            and call.func.id in REDUCING and _is_name(call.args[0], name) and not _mentions(call.args[1:], name))


def _is_shifted(index: ast.expr, axis: str, varying: Collection[str]) -> bool:
    """Whether an index is that of an axis plus or minus something that stays the same."""
    if isinstance(index, ast.BinOp) and isinstance(index.op, (ast.Add, ast.Sub)):
        names = {name.id for name in _names([index.right])}
        fixed = not names & {axis, *varying} and not list(_subscripts([index.right]))
        return fixed and _is_shifted(index.left, axis, varying)
    return _is_name(index, axis)


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _names(nodes: Iterable[ast.AST]) -> Iterator[ast.Name]:
    return (inner for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.Name))


def _mentions(nodes: Iterable[ast.AST], name: str, how: type[ast.expr_context] = ast.expr_context) -> bool:
    return any(found.id == name and isinstance(found.ctx, how) for found in _names(nodes))


def _subscripts(nodes: Iterable[ast.AST]) -> Iterator[ast.Subscript]:
    return (inner for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.Subscript))


def _mentions_whole(nodes: Iterable[ast.AST], array: str) -> bool:
    """Whether an array is mentioned otherwise than by an element."""
    nodes = list(nodes)
    elements = sum(_is_name(node.value, array) for node in _subscripts(nodes))
    return elements != sum(name.id == array for name in _names(nodes))


def _array(node: ast.Subscript) -> str:
    """The name of the array, or the text of what stands in its place."""
    return node.value.id if isinstance(node.value, ast.Name) else ast.dump(node.value)


def _index(node: ast.Subscript) -> list[ast.expr]:
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def _key(node: ast.Subscript) -> str:
    """An element as it is written, whether it is read or stored."""
    return ast.dump(node.value) + ast.dump(node.slice)


def _let(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _loaded(node: ast.Subscript) -> ast.Subscript:
    return ast.Subscript(copy.deepcopy(node.value), copy.deepcopy(node.slice), ast.Load())


def _stored(node: ast.Subscript) -> ast.Subscript:
    return ast.Subscript(copy.deepcopy(node.value), copy.deepcopy(node.slice), ast.Store())


def _place(made: ast.AST, where: ast.stmt) -> None:
    """Give what was made the line of what it is made from, where it has none."""
    for node in ast.walk(made):
        if "lineno" in node._attributes and not hasattr(node, "lineno"):
            ast.copy_location(node, where)
