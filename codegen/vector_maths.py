"""Vector maths: `exp`, `log`, `sin` ... in loops, eight numbers at a time.

Numba compiles `exp(x[i])` to a call of the C library's scalar function, which keeps LLVM from vectorising the
loop. `rewrite` puts functions of this module in place of the calls in innermost loops: each is a scalar function of
the compiled module together with forms of it for vectors, announced to LLVM by the attribute
`vector-function-abi-variant`, so that the loop vectoriser takes these. All forms give the same bits, so a value does
not depend on its place in an array. Everything is in the compiled module itself: no library is loaded, nothing
can be missing. Outside loops, where a scalar call is all there is, the C library's functions stay. A processor
without fused multiply-add keeps them everywhere, and so does GRADC_VECTOR_MATHS=off; so do systems on which this was
not tested (all but Linux on x86-64), unless GRADC_VECTOR_MATHS=on. The text that a user sees, and that plain Python
runs, says `exp(x)` in any case. What the functions compute is `vector_kernels`'.
"""

from __future__ import annotations

import ast
import copy
import functools
import importlib
import operator
import os
from typing import TYPE_CHECKING, Any

from .accumulate import EXTREMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .vector_kernels import Kernel

VARIABLE = "GRADC_VECTOR_MATHS"
PREFIX = "_gradc_vector_"
WIDE = "_gradc_wide_vectors"
UNROLLED = 8                            # rounds of an inner loop that LLVM surely unrolls
POWER = "**"                            # as a name of the kernel pow: the operator

# The names that generated text calls, by the module they come from, and the kernels that they mean.
NUMPY = {
    **{name: name for name in ("cos", "cosh", "exp", "exp2", "expm1", "hypot", "log", "log10", "log1p", "log2",
                               "logaddexp", "sin", "sinh", "tan", "tanh")},
    "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan",
    "arctan2": "atan2", "arctanh": "atanh", "power": "pow",
}
MATH = {"erf": "erf", "erfc": "erfc"}
PASTED = {"cbrt": "cbrt", "sigmoid": "sigmoid"}


# -- whether, and how wide ------------------------------------------------------------------------------------


def widths() -> tuple[int, ...]:
    """The numbers of float64 lanes to make functions for, the widest first; empty: no vector maths.

    It goes by the processor that Numba compiles for (NUMBA_CPU_NAME may name another than the one at hand).
    """
    wish = os.environ.get(VARIABLE, "").strip().lower()
    if wish in {"0", "off", "no", "false"}:
        return ()
    from . import lanes

    triple, features = lanes.target()
    if triple.startswith("x86_64") and {"fma", "avx2"} <= features and ("linux" in triple or wish == "on"):
        return (8,) if lanes.has_scalef() else (4,)
    return (2,) if triple.startswith(("aarch64", "arm64")) and wish == "on" else ()


def settings() -> list[Any]:
    """What compiled code depends on here, for the key of a cache."""
    return [VARIABLE, list(widths())]


# -- the text -------------------------------------------------------------------------------------------------


class Rewritten:
    """What a rewritten module needs: functions of this module by name, and helpers that were added."""

    def __init__(self) -> None:
        self.kernels: dict[str, tuple[str, str]] = {}       # the name in the text -> (kernel, what it stands for)
        self.helpers: list[str] = []

    def functions(self) -> dict[str, Callable[..., Any]]:
        """The Numba intrinsics that the text calls. Imports Numba."""
        found = {name: function(*meaning) for name, meaning in self.kernels.items()}
        return {**found, WIDE: wide_vectors()} if found else {}


def rewrite(tree: ast.Module, helpers: Sequence[str]) -> Rewritten:
    """Let the innermost loops of a module's syntax tree call this module's functions; changes it in place.

    Args:
        tree: the module.
        helpers: names of its functions that others call. One that a loop calls, and that calls elementary
            functions itself, gets a twin for loops: `_gradc_vector_softplus` beside `softplus`.

    Returns:
        the names that the tree calls now and did not before.
    """
    done = Rewritten()
    if not widths():
        return done
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    known = _known_names(tree, functions)
    twins = _twins([name for name in helpers if name in functions and name not in known], functions, known)
    for definition in list(functions.values()):
        rewriter = _Rewriter(known, twins, done, everywhere=False)
        for statement in definition.body:
            if isinstance(statement, (ast.For, ast.If, ast.While)):             # nothing else holds a loop
                rewriter.visit(statement)
        _widen(definition, rewriter)
    waiting, made = list(done.helpers), set()
    while waiting:
        name = waiting.pop()
        if name in made:
            continue
        made.add(name)
        twin = copy.deepcopy(twins[name])
        twin.name = PREFIX + name
        before = len(done.helpers)
        rewriter = _Rewriter(known, twins, done, everywhere=True)
        for statement in twin.body:
            rewriter.visit(statement)
        waiting += done.helpers[before:]
        tree.body.insert(tree.body.index(functions[name]) + 1, twin)
    done.helpers = [PREFIX + name for name in helpers if name in made]
    if done.kernels or made:
        ast.fix_missing_locations(tree)
    return done


def _known_names(tree: ast.Module, functions: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The names of the tree that mean a kernel: the kernel, and the function of NumPy or of the tree."""
    known = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            table = {"numpy": NUMPY, "math": MATH}.get(node.module or "", {})
            for alias in node.names:
                if alias.name in table and alias.asname is None:
                    known[alias.name] = table[alias.name], f"{node.module}.{alias.name}"
    known.update({name: (PASTED[name], "") for name in functions if name in PASTED})
    return known


def _twins(helpers: Sequence[str], functions: dict[str, ast.FunctionDef],
           known: dict[str, tuple[str, str]]) -> dict[str, ast.FunctionDef]:
    """The helpers that call an elementary function, themselves or through others (those come before)."""
    found: dict[str, ast.FunctionDef] = {}
    for name in helpers:
        if _called(functions[name]) & (known.keys() | found.keys()):
            found[name] = functions[name]
    return found


def _called(node: ast.AST) -> set[str]:
    return {n.func.id for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


class _Rewriter(ast.NodeTransformer):
    """Replace calls in innermost loops, or everywhere."""

    def __init__(self, known: dict[str, tuple[str, str]], twins: dict[str, ast.FunctionDef], done: Rewritten, *,
                 everywhere: bool) -> None:
        self.known, self.twins, self.done, self.inside, self.changed = known, twins, done, everywhere, False

    def visit_For(self, node: ast.For) -> ast.AST:
        """Calls of a loop that LLVM may vectorise."""
        before = self.inside
        self.inside = before or not (_has_long_loop(node) or _carries_a_value(node))
        self.generic_visit(node)
        self.inside = before
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A call of a function by its name."""
        self.generic_visit(node)
        if self.inside and isinstance(node.func, ast.Name) and not node.keywords:
            name = node.func.id
            if name in self.known:
                self._use(name, self.known[name])
                node.func.id = PREFIX + name
            elif name in self.twins:
                self.done.helpers.append(name)
                self.changed = True
                node.func.id = PREFIX + name
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """A power whose exponent is no literal integer (those are products)."""
        self.generic_visit(node)
        if not self.inside or not isinstance(node.op, ast.Pow) or _is_whole(node.right):
            return node
        self._use("pow", ("pow", POWER))
        return ast.copy_location(ast.Call(ast.Name(PREFIX + "pow", ast.Load()), [node.left, node.right], []), node)

    def _use(self, name: str, meaning: tuple[str, str]) -> None:
        self.done.kernels[PREFIX + name] = meaning
        self.changed = True


def _has_long_loop(loop: ast.For) -> bool:
    """Whether another loop is inside; one of a few known rounds is unrolled before loops are vectorised."""
    inner = [n for statement in loop.body for n in ast.walk(statement) if isinstance(n, (ast.For, ast.While))]
    return any(isinstance(n, ast.While) or not _is_short(n.iter) for n in inner)


def _is_short(rounds: ast.expr) -> bool:
    return (isinstance(rounds, ast.Call) and len(rounds.args) == 1 and isinstance(rounds.args[0], ast.Constant)
            and isinstance(rounds.args[0].value, int) and rounds.args[0].value <= UNROLLED)


def _carries_a_value(loop: ast.For) -> bool:
    """Whether a round reads a local that an earlier one assigned, other than to accumulate: `h = tanh(h + x[i])`.

    Such a loop stays scalar, and there the C library answers sooner.
    """
    whole = [n for statement in loop.body for n in ast.walk(statement) if isinstance(n, ast.Name)]
    assigned = {n.id for n in whole if isinstance(n.ctx, ast.Store)}
    known: set[str] = set()
    for statement in loop.body:
        accumulates = isinstance(statement, ast.AugAssign) or (
            isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call)
            and isinstance(statement.value.func, ast.Name) and statement.value.func.id in EXTREMA)
        names = [n for n in ast.walk(statement) if isinstance(n, ast.Name)]
        targets = {n.id for n in names if isinstance(n.ctx, ast.Store)}
        read = {n.id for n in names if isinstance(n.ctx, ast.Load)} - (targets if accumulates else set())
        if not isinstance(statement, (ast.For, ast.If)) and read & assigned - known:
            return True
        known |= targets
    return False


def _is_whole(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant) and isinstance(inner.value, int)


def _widen(definition: ast.FunctionDef, rewriter: _Rewriter) -> None:
    if rewriter.changed:
        definition.body.insert(1 if ast.get_docstring(definition) is not None else 0,
                               ast.Expr(ast.Call(ast.Name(WIDE, ast.Load()), [], [])))


# -- the functions --------------------------------------------------------------------------------------------


def _original(meaning: str) -> Callable[..., Any] | None:
    """The function that a name stands for: what operands of other kinds than real numbers take."""
    if meaning == POWER:
        return operator.pow
    module, _, name = meaning.partition(".")
    found: Callable[..., Any] | None = getattr(importlib.import_module(module), name) if name else None
    return found


@functools.cache
def function(kernel: str, meaning: str) -> Callable[..., Any]:
    """A Numba intrinsic for a kernel: real numbers in, float64 out, or float32 if all operands are.

    Integers raised to integers, arrays and complex numbers take `meaning`, such as "numpy.exp".
    """
    types: Any = importlib.import_module("numba.core.types")
    signature: Any = importlib.import_module("numba.core.typing").signature
    count = _kernel(kernel).operands

    def typed(typing_context: Any, operands: Sequence[Any]) -> Any:
        real = all(isinstance(o, (types.Float, types.Integer, types.Boolean)) for o in operands)
        if not real or (meaning == POWER and not isinstance(operands[1], types.Float)):
            original = _original(meaning)
            plain = typing_context.resolve_function_type(original, tuple(operands), {})
            return None if plain is None else (signature(plain.return_type, *operands), _plain(original, plain))
        single = all(o == types.float32 for o in operands)
        kind = types.float32 if single else types.float64

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _prefer_wide(builder)
            values = [context.cast(builder, argument, given, kind)
                      for argument, given in zip(arguments, signature.args, strict=True)]
            return builder.call(scalar_form(builder.module, kernel, single=single), values)

        return signature(kind, *operands), generate

    def one(typing_context: Any, x: Any) -> Any:
        return typed(typing_context, (x,))

    def two(typing_context: Any, x: Any, y: Any) -> Any:
        return typed(typing_context, (x, y))

    made: Callable[..., Any] = importlib.import_module("numba.extending").intrinsic(one if count == 1 else two)
    return made


def _plain(original: Callable[..., Any] | None, plain: Any) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        converted = [context.cast(builder, argument, given, wanted)
                     for argument, given, wanted in zip(arguments, signature.args, plain.args, strict=True)]
        result = context.get_function(original, plain)(builder, converted)
        return context.cast(builder, result, plain.return_type, signature.return_type)

    return generate


@functools.cache
def wide_vectors() -> Callable[..., Any]:
    """A Numba intrinsic that computes nothing: LLVM may use the widest vectors in the function that calls it."""
    types: Any = importlib.import_module("numba.core.types")
    signature: Any = importlib.import_module("numba.core.typing").signature

    def prefer(_typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
            _prefer_wide(builder)
            return context.get_dummy_value()

        return signature(types.void), generate

    made: Callable[..., Any] = importlib.import_module("numba.extending").intrinsic(prefer)
    return made


def _prefer_wide(builder: Any) -> None:
    """LLVM takes half of the width of AVX-512 on some processors unless it is told to prefer the whole."""
    from . import lanes

    if widths()[:1] == (8,):
        lanes.give_attributes(builder.function, '"prefer-vector-width"="512"')


def _kernel(name: str) -> Kernel:
    from .vector_kernels import KERNELS  # when it is needed: it imports llvmlite

    return KERNELS[name]


def scalar_form(module: Any, kernel: str, *, single: bool) -> Any:
    """Define the functions of a kernel in an LLVM module, and give the scalar one."""
    from . import lanes

    name = f"gradc_{kernel}{'f' if single else ''}"
    known = module.globals.get(name)
    if known is not None:
        return known
    entry = _kernel(kernel)
    function = (entry.single or entry.short if single else None) or entry.function

    def build(symbol: str, width: int) -> Any:
        return lanes.build(module, symbol, function, entry.operands, width, single=single,
                           through_double=entry.single is None)

    variants = []
    for width in sorted({n for w in widths() for n in ((2 * w, w) if single else (w,))}):
        vector = f"{name}_{width}"
        build(vector, width)
        variants.append(f"_ZGV_LLVM_N{width}{'v' * entry.operands}_{name}({vector})")
    made = build(name, 1)
    lanes.give_attributes(made, f'"vector-function-abi-variant"="{",".join(variants)}"')
    return made
