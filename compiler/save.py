"""`save`: one standalone Python file with a function, its gradient, and a check of itself.

Takes a Function and a path. The file holds the generated text of the function (of a function with a
derivative also its gradient, and both together), needs NumPy, uses Numba where it is installed and SciPy
where special functions ask for it, and knows nothing of gradc. Run as a script it compares the gradient
with central differences at a point that `example` chose. The texts come from the printer; here they are
taken apart, merged without repetitions, and given public functions with type hints.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gradc.codegen.module import Group
from gradc.codegen.special import imported, standalone_prelude
from gradc.ir.errors import DerivativeError
from gradc.ir.graph import Graph, Node
from gradc.ir.interpret import evaluate

from .example import Example, find_example, literal
from .settled import has_rules

if TYPE_CHECKING:
    from .function import Function

_SCALARS = {"float64": "float", "float32": "float", "int64": "int", "bool": "bool"}
_PURPOSE = {"value": "The value.", "grad": "The gradient", "value_and_grad": "The value, and the gradient"}

_NUMBA = '''\
try:
    from numba import njit{imported}
except ImportError:  # the same text as plain Python, only slower
    from types import FunctionType

    def _jit(function):
        """Plain Python, literals as NumPy floats: dividing by zero gives inf or nan, as in compiled code."""
        code = function.__code__
        constants = tuple(np.float64(c) if type(c) is float else c for c in code.co_consts)
        return FunctionType(code.replace(co_consts=constants), globals(), function.__name__)
{wrapped}{plain}
else:
    _jit = njit(error_model="numpy", fastmath={{"contract"}})
{threads}'''

_PLAIN = '''
    prange = range
    _in_threads = _jit
'''
_THREADS = '''\
    _in_threads = njit(error_model="numpy", fastmath={"contract"}, parallel=True)
'''

_WRAPPED = '''
    def _as_float64(function):
        return lambda *args: np.float64(function(*args))

{lines}'''

_CONVERT = '''\
def {array}(name, value, dtype, rank):
    """An argument as a contiguous array of the dtype; nothing is narrowed silently."""
    array = np.asarray(value)
    if array.dtype.kind not in {{"float64": "biuf", "float32": "biuf", "int64": "biu", "bool": "b"}}[dtype]:
        raise TypeError(f"{{name}} must be an array of {{dtype}}, not of {{array.dtype}}")
    if array.ndim != rank:
        raise ValueError(f"{{name}} must have {{rank}} dimensions, not {{array.ndim}}")
    return np.ascontiguousarray(array, dtype)
'''

_DIFFERENCES = '''\
def _check():
    """Compare the gradient with central differences; 0 if they agree, else 1."""
    arguments = _example()
    worst = 0.0
    for position, part in {parts}:
        derivatives = np.atleast_1d(np.asarray(part, np.float64)).ravel()
        for place in range(0, derivatives.size, max(1, derivatives.size // 50)):
            slopes = []
            for step in ({step}, {step} / 2):
                values = []
                for shift in (step, -step):
                    moved = list(arguments)
                    if np.ndim(moved[position]):
                        moved[position] = moved[position].copy()
                        moved[position].flat[place] += shift
                    else:
                        moved[position] += shift
                    values.append(float({value}))
                slopes.append((values[0] - values[1]) / (2 * step))
            difference = (4 * slopes[1] - slopes[0]) / 3  # Richardson: what remains falls as step**4
            error = abs(derivatives[place] - difference) / max(1.0, abs(difference))
            worst = max(worst, error) if error == error else float("inf")
    print(f"largest difference from central differences: {{worst:.1e}}")
    print("ok" if worst < {tolerance} else "the gradient is WRONG")
    return 0 if worst < {tolerance} else 1
'''

_EXPECTED = '''\
def _check():
    """Compare with the values that gradc's interpreter gave beforehand; 0 if they agree, else 1."""
    found = []
    waiting = [{call}]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, tuple):
            waiting = list(part) + waiting
        else:
            found.extend(np.asarray(part, np.float64).ravel())
    ok = np.allclose(found, {expected}, rtol={tolerance}, atol={tolerance})
    print("ok" if ok else "the values are WRONG")
    return 0 if ok else 1
'''

_UNCHECKED = '''\
def _check():
    """There is nothing to compare with."""
    print("not checked: gradc found no point where the formula is finite when it wrote this file")
    return 1
'''

_MAIN = '''\
if __name__ == "__main__":
    sys.exit(_check())
'''


@dataclass
class Merged:
    """The parts of several generated modules, each once: imports, classes, helper functions, functions.

    threaded  names of the functions that run loops in threads
    """

    imports: dict[str, set[str]] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    helpers: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    threaded: set[str] = field(default_factory=set)


def save(function: Function, path: str | Path) -> None:
    """Write a Function as a standalone Python file.

    A function with a gradient brings `value`, `grad` and `value_and_grad`; a derivative is written alone,
    with the value that its check needs. The file is written only when its text is complete.
    """
    Path(path).write_text(text(function), encoding="utf-8")


def text(function: Function, public: Sequence[Function] | None = None, more: Sequence[str] = ()) -> str:
    """The text of the file that `save` writes; equal functions give equal text.

    public  the functions of the file, the first of which is `function`; by default as `save` says
    more    sections that follow them
    """
    public = _public(function) if public is None else public
    primal = function.primal if function.__name__ in _PURPOSE else None         # others are held against known values
    hidden = [primal] if primal is not None and function.__name__ == "grad" else []
    merged = Merged()
    for part in (*public, *hidden):
        _merge(merged, part, "value" if part in hidden else part.__name__)
    names = _private_names(merged, function)
    special = imported(ast.parse("\n".join(_import_lines(merged))))
    example = find_example(primal.graph if primal is not None else function.graph)
    has_arrays = any(node.is_array for part in public for node in (
        *part.graph.inputs.values(), *(output for _, output in part.graph.outputs)))
    sections = [
        _docstring(function, public, bool(special)) + "\n\n" + _header(merged, special, has_arrays),
        *merged.classes.values(),
        *(f"@_jit\n{helper}" for helper in merged.helpers.values()),
        *(f"@{'_in_threads' if name in merged.threaded else '_jit'}\n{_renamed(part, names)}"
          for name, part in merged.functions.items()),
        _CONVERT.format(array=names["array"]) if any(n.shape for n in function.graph.inputs.values()) else "",
        *(_wrapper(part, names) for part in public),
        *more,
        *_check([part for part in public if part.args == function.args], primal, example, names),
        _MAIN,
    ]
    return "\n\n".join(section.strip("\n") + "\n" for section in sections if section.strip())


def _public(function: Function) -> list[Function]:
    """The Functions of the file."""
    if function.__name__ != "value":
        return [function]
    try:
        return [function, function.grad, function.value_and_grad]
    except DerivativeError:
        return [function]


# -- taking modules apart -------------------------------------------------------------------------


def _merge(merged: Merged, function: Function, name: str) -> None:
    """Add a function's module, the function itself under the given name."""
    printed = function.printed
    own = {entry.name: name + entry.name.removeprefix(printed.name) for entry in printed.module.entries}
    source = _renamed(printed.module.source, own)
    lines = source.splitlines()
    for node in ast.parse(source).body:
        body = "\n".join(lines[node.lineno - 1:node.end_lineno])
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            merged.imports.setdefault(node.module, set()).update(alias.name for alias in node.names)
        elif isinstance(node, ast.ClassDef):
            _once(merged.classes, node.name, body)
        elif isinstance(node, ast.FunctionDef):
            _once(merged.functions if node.name in own.values() else merged.helpers, node.name, body)
            if any(f"{chunked}(" in body for chunked in printed.module.chunked if chunked != node.name):
                merged.threaded.add(node.name)


def _once(known: dict[str, str], name: str, body: str) -> None:
    """Equal parts stand once; two of one name that differ would change each other's meaning."""
    assert known.setdefault(name, body) == body, f"two modules define {name} differently"


def _private_names(merged: Merged, function: Function) -> dict[str, str]:
    """The names of the compiled functions behind the public ones, and of what stands beside arguments."""
    taken = {safe for _, safe in function.printed.arguments} | set(merged.helpers)
    names = {}
    for name in (*merged.functions, "array", "rng"):
        private = f"_{name}"
        while private in taken:
            private += "_"
        taken.add(private)
        names[name] = private
    return names


def _renamed(body: str, names: dict[str, str]) -> str:
    """A function's text with the compiled functions under their private names; only calls are meant."""
    pattern = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    return re.sub(rf"\b({pattern})\(", lambda match: f"{names[match[1]]}(", body)


# -- the file's parts -----------------------------------------------------------------------------


def _docstring(function: Function, public: Sequence[Function], special: bool) -> str:
    about = ast.get_docstring(ast.parse(function.printed.module.source)) or function.__name__
    if public[0].__name__ == "value" and len(public) > 1 and public[2].__name__ in _PURPOSE:
        about = ast.get_docstring(ast.parse(public[2].printed.module.source)) or about
    needs = "NumPy and SciPy" if special else "NumPy"
    lines = [
        about, "",
        f"Written by gradc. The file needs {needs}, and is faster with Numba. As a script it checks itself.",
        "", *(f"    {_signature(part)}" for part in public)]
    escaped = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{escaped}\n"""'


def _import_lines(merged: Merged) -> list[str]:
    return [f"from {module} import {', '.join(sorted(names))}"
            for module, names in sorted(merged.imports.items())]


def _header(merged: Merged, special: Iterable[str], has_arrays: bool) -> str:
    needed = {line.split()[1]: line for line in _import_lines(merged)}
    standard = ["from __future__ import annotations", "", "import sys",
                *(needed.pop(module) for module in ("math", "typing") if module in needed)]
    needed.pop("scipy.special", None)                           # bound further down
    others = ["import numpy as np", *(["import numpy.typing as npt"] if has_arrays else []), *needed.values()]
    lines = "".join(f"    {name} = _as_float64({name})\n" for name in sorted(merged.imports.get("math", ())))
    imported, plain, threads = (", prange", _PLAIN, _THREADS) if merged.threaded else ("", "", "")
    numba = _NUMBA.format(wrapped=_WRAPPED.format(lines=lines) if lines else "", imported=imported, plain=plain,
                          threads=threads)
    return "\n".join([*standard, "", *others, "", numba, _special(sorted(special))])


def _special(names: Sequence[str]) -> str:
    """SciPy's functions, with an error that names SciPy where it is missing."""
    if not names:
        return ""
    prelude = standalone_prelude(names)
    listed = ", ".join(names)
    first = f"from scipy.special import {listed}\n"
    guarded = (f"try:\n    {first}except ImportError as error:\n"
               f'    raise ImportError("this file needs SciPy for {listed}: pip install scipy") from error\n')
    return prelude.replace(first, guarded, 1)


def _hint(node: Node) -> str:
    return f"npt.NDArray[np.{node.dtype.replace('bool', 'bool_')}]" if node.is_array else _SCALARS[node.dtype]


def _returned(graph: Graph, groups: Sequence[Group]) -> str:
    outputs = dict(graph.outputs)

    def hint(group: Group, inner: Sequence[str]) -> str:
        return group.result or (inner[0] if len(inner) == 1 else f"tuple[{', '.join(inner)}]")

    hints = [group.made(lambda key: _hint(outputs[key]), hint) for group in groups]
    return hints[0] if len(hints) == 1 else f"tuple[{', '.join(hints)}]"


def _signature(function: Function) -> str:
    inputs = function.graph.inputs
    arguments = ", ".join(f"{safe}: {'npt.ArrayLike' if inputs[name].shape else _SCALARS[inputs[name].dtype]}"
                          for name, safe in function.printed.arguments)
    return f"{function.__name__}({arguments}) -> {_returned(function.graph, function.groups)}"


def _wrapper(function: Function, names: dict[str, str]) -> str:
    """The public function: it checks and converts its arguments and calls the compiled one."""
    converted = []
    for name, safe in function.printed.arguments:
        node = function.graph.inputs[name]
        if node.shape:
            converted.append(f'{names["array"]}("{safe}", {safe}, "{node.dtype}", {len(node.shape)})')
        elif node.dtype.startswith("float"):
            converted.append(f"np.{node.dtype}({safe})")
        else:
            converted.append(f"{_SCALARS[node.dtype]}({safe})")
    name = function.__name__
    purpose = _PURPOSE.get(name, f"The {name.replace('_', ' ')}.")
    if not purpose.endswith("."):
        safe_names = dict(function.printed.arguments)
        by = ", ".join(safe_names[name] for name in function.wrt)
        purpose += f" by {by}."
    return (f"def {_signature(function)}:\n"
            f'    """{purpose}"""\n'
            f'    with np.errstate(all="ignore"):\n'
            f"        return {names[name]}({', '.join(converted)})\n")


# -- the check ------------------------------------------------------------------------------------


def _check(public: Sequence[Function], primal: Function | None, example: Example | None,
           names: dict[str, str]) -> list[str]:
    """The example and the comparison: with differences where there is a gradient, else with known values."""
    if example is None:
        return [_UNCHECKED]
    known = {function.__name__: function for function in public}
    function = public[0]
    single = any(node.dtype == "float32" for node in function.graph.inputs.values())
    point = _example(function, example, names["rng"])
    gradients = [f"{name}(*arguments){ending}" for name, ending in (("grad", ""), ("value_and_grad", "[1]"))
                 if name in known]
    if gradients and has_rules((primal or function).graph):     # no difference quotient knows of them
        return [point, *_compared(public, example, single)]
    if gradients:
        value = ("value(*moved)" if "value" in known else "value_and_grad(*moved)[0]" if "grad" not in known
                 else f"{names['value']}(*moved)")
        step, tolerance = ("0.05", "2e-2") if single else ("1e-3", "1e-6")
        return [point, _DIFFERENCES.format(parts=f"[{', '.join(_parts(function, g) for g in gradients)}]",
                                           value=value, step=step, tolerance=tolerance)]
    return [point, *_compared(public, example, single)] if primal is None else [_UNCHECKED]


def _compared(public: Sequence[Function], example: Example, single: bool) -> list[str]:
    """The comparison of every function with what the interpreter gave."""
    values = [value for part in public for value in evaluate(part.graph, example.arguments)]
    expected = literal(values)
    if expected is None:
        return [_UNCHECKED]
    call = ", ".join(f"{part.__name__}(*_example())" for part in public)
    return [_EXPECTED.format(call=call, expected=expected, tolerance="1e-4" if single else "1e-9")]


def _parts(function: Function, gradient: str) -> str:
    """The text that pairs the position of each argument with its part of the gradient."""
    positions = [str(function.args.index(name)) for name in function.wrt]
    if len(positions) == 1:
        return f"({positions[0]}, {gradient})"
    return f"*zip(({', '.join(positions)}), {gradient})"


def _example(function: Function, example: Example, rng: str) -> str:
    """The text of the function that gives the arguments of the check."""
    safe = dict(function.printed.arguments)
    lines = [f"{rng} = np.random.default_rng({example.seed})"] if example.draws else []
    lines += [f"{safe[name]} = {text.replace('rng.', rng + '.')}" for name, text in example.lines.items()]
    shown = ", ".join(safe[name] for name in function.args)
    body = "".join(f"    {line}\n" for line in lines)
    comma = "," if len(function.args) == 1 else ""
    doc = "Arguments inside the domain of the formula."
    return f'def _example():\n    """{doc}"""\n{body}    return ({shown}{comma})\n'
