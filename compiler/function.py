"""The Function: a compiled graph with its derivatives.

A derivative is a Function of the same kind as the function, made when it is first used. The call is the thin part: a
class made for each signature passes the arguments straight to the compiled code, which checks them, and looks closer
only when that refuses. How a graph becomes source and compiled code is `compiled`'s.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, NamedTuple

from gradc.codegen.module import Group
from gradc.ir import drawing
from gradc.ir.collecting import put_off
from gradc.ir.errors import ArgumentError, DerivativeError, FormulaError
from gradc.ir.graph import Graph
from gradc.ir.text import from_text

from . import derive
from .adapters import Adapters
from .compiled import Compiled, Options
from .passes import refine
from .wrt import checked_wrt, real_arguments

if TYPE_CHECKING:
    import numpy as np

    from .compressed import Compressed
    from .draw import Drawing
    from .explain import Explanation
    from .per_element import Counts
    from .sparsity import Sparse
    from .spy import Spy

class Saved(NamedTuple):
    """What `forward` keeps for `backward`: the arguments and the forward values that it reads.

    Arrays among the arguments are kept by reference: do not change them before `backward`.
    """

    arguments: tuple[Any, ...]
    values: tuple[Any, ...]


class Function(Compiled, Adapters):
    """A compiled function of scalars and arrays; `gradc.compile` makes it.

    args     names of the arguments, as the user wrote them
    wrt      names of the arguments that derivatives are taken by
    graph    the graph as the user wrote it (of a derivative: the derived graph)
    source   the complete generated Python text
    jit      the Numba dispatcher, callable in nopython code
    grad     the gradient, and `value_and_grad` both, as Functions
    jvp      the derivative along a direction, `vjp` the gradient for a cotangent, `hvp` the product of the Hessian
             with a vector; each of them has `many`, the same for several directions at once
    jacobian all first derivatives, `hessian` all second ones, as arrays; each of them has `sparse`, the same as SciPy
             sparse arrays, `pattern` and `draw_pattern`; `value_and_jacobian` shares work
    plain    the same with work on gathered values done at every place, where it would be once for each element: calls
             choose by their sizes

    Calling it raises ArgumentError (missing, extra or unknown argument, dtype), ShapeError (rank, or two
    dimensions that disagree) or DomainError (an empty reduction, a kink under kinks="raise"), all of
    them under GradcError. `out=` takes the array, or a tuple of arrays, that receive the results, `workspace=` memory
    for buffers: see `workspace`.

    >>> import gradc
    >>> f = gradc.compile("(x + y) * z", jit=False)
    >>> f(-2, 5, -4), f.grad(-2, 5, -4)
    (-12.0, Gradient(x=-4.0, y=-4.0, z=3.0))
    """

    def __init__(self, graph: Graph, wrt: Sequence[str], options: Options, *, name: str = "value",
                 groups: Sequence[Group] | None = None, prepared: Graph | None = None,
                 primal: Function | None = None, rows: Sequence[Counts] = ()) -> None:
        if options.parallel and primal is None and not _has_loops(graph):
            raise FormulaError("parallel=True means nothing here, where no loop goes over an array or a range: leave "
                               "it out")
        super().__init__(graph, wrt, options, name, groups, prepared, rows)
        self._primal = primal
        self._twin: Function | None = None                      # with values in rows
        self._once: dict[tuple[str, Any], Function] = {}

    @property
    def primal(self) -> Function | None:
        """The function of which this one is the derivative, None if it is none."""
        return self._primal

    def __repr__(self) -> str:
        return f"<gradc.Function {self._name}({', '.join(self.args)})>"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.source)}</pre>"

    # -- derivatives --------------------------------------------------------------------------

    @functools.cached_property
    def grad(self) -> Function:
        """The gradient: called as the function; bare for one `wrt`, else a named tuple.

        >>> import gradc
        >>> gradc.compile("x * y**2", jit=False).grad(2.0, 3.0)
        Gradient(x=9.0, y=12.0)
        """
        return self._derivative("grad", with_value=False)

    @functools.cached_property
    def value_and_grad(self) -> Function:
        """(value, gradient) with the forward work shared.

        >>> import gradc
        >>> gradc.compile("x * y**2", jit=False).value_and_grad(2.0, 3.0)
        (18.0, Gradient(x=9.0, y=12.0))
        """
        return self._derivative("value_and_grad", with_value=True)

    @functools.cached_property
    def jvp(self) -> Function:
        """The derivative along a direction: after the arguments come a tangent for each `wrt`, in order.

        It returns what the function returns, as tangents. See `many` for several directions at once.

        >>> import gradc
        >>> f = gradc.compile("x * y**2", jit=False)
        >>> f.jvp(2.0, 3.0, 1.0, 0.0), f.jvp(2.0, 3.0, d_x=0.0, d_y=1.0)
        (9.0, 12.0)
        """
        return self._product("jvp", several=False)

    @functools.cached_property
    def vjp(self) -> Function:
        """The gradient for given cotangents: after the arguments comes a cotangent for each real output.

        >>> import gradc
        >>> f = gradc.compile("x**2 * y", args={"x": "n"}, jit=False)
        >>> f.vjp([1.0, 2.0], 3.0, [1.0, 0.5])
        Gradient(x=array([6., 6.]), y=3.0)
        """
        return self._product("vjp", several=False)

    @functools.cached_property
    def hvp(self) -> Function:
        """The product of the Hessian with a vector, forward over reverse: after the arguments comes v for each `wrt`.

        >>> import gradc
        >>> f = gradc.compile("x**2 * y", jit=False)
        >>> f.hvp(2.0, 3.0, 1.0, 0.0), f.hvp(2.0, 3.0, v_x=0.0, v_y=1.0)
        (Gradient(x=6.0, y=4.0), Gradient(x=4.0, y=0.0))
        """
        return self._product("hvp", several=False)

    @functools.cached_property
    def weighted(self) -> Function:
        """The sum of all values, each times a weight that follows the arguments: `weighted.grad` is `vjp`.

        Its Hessian is what a constraint adds to that of a Lagrangian.
        """
        start = time.perf_counter()
        return self._made("weighted", derive.weighted(self.prepared), (Group(("value",)),), self, start)

    @functools.cached_property
    def jacobian(self) -> Function:
        """All first derivatives: an array of the shape of the value and then of the argument.

        For several `wrt` a named tuple of such blocks, for several results a tuple of these. Forward or reverse mode,
        whichever costs less, computes all of them in one run.

        >>> import gradc
        >>> f = gradc.compile("sin(x) * y", args={"x": "n"}, jit=False)
        >>> f.jacobian([0.0, 0.0], 2.0)
        Jacobian(x=array([[2., 0.],
               [0., 2.]]), y=array([0., 0.]))
        """
        return self.by_mode("")

    def by_mode(self, mode: str) -> Function:
        """The Jacobian by "forward" or "reverse" mode alone; `jacobian` chooses."""
        from .jacobian import jacobian

        start = time.perf_counter()
        graph, names = jacobian(self.prepared, self._differentiated(), self._options.kinks, mode)
        groups = [group.changed(lambda key: self._by_argument("Jacobian", names[key])) for group in self._groups]
        return self._made("jacobian", graph, groups, self, start)

    @functools.cached_property
    def value_and_jacobian(self) -> Function:
        """(value, Jacobian) with the forward work shared.

        >>> import gradc
        >>> gradc.compile("exp(x)", jit=False).value_and_jacobian(0.0)
        (1.0, 1.0)
        """
        from .jacobian import jacobian

        start, value = time.perf_counter(), self._groups[0] if len(self._groups) == 1 else Group(self._groups)
        graph, names = jacobian(self.prepared, self._differentiated(), self._options.kinks, with_value=True)
        block = value.changed(lambda key: self._by_argument("Jacobian", names[key]))
        return self._made("value_and_jacobian", graph, (value, block), self, start)

    @functools.cached_property
    def sparse(self) -> Sparse:
        """Of a `jacobian`, `hessian` or `value_and_jacobian`: the same as SciPy sparse arrays; see `Sparse`.

        >>> import gradc
        >>> f = gradc.compile("x[1:] * x[:-1]", {"x": "n"}, jit=False)
        >>> f.jacobian.sparse([1.0, 2.0, 3.0]).toarray()
        array([[2., 1., 0.],
               [0., 3., 2.]])
        """
        from .sparsity import Sparse

        return Sparse(self)

    @property
    def pattern(self) -> Callable[..., Any]:
        """Of a `jacobian` or `hessian`, called as the function: where entries may be other than 0, SciPy arrays.

        >>> import gradc
        >>> f = gradc.compile("sum(x[i]**2 * x[i + 1] for i in range(n - 1))", {"x": "n"}, jit=False)
        >>> f.hessian.pattern([1.0, 2.0, 3.0]).toarray().astype(int)
        array([[1, 1, 0],
               [1, 1, 1],
               [0, 1, 0]])
        """
        return self.sparse.pattern

    @property
    def draw_pattern(self) -> Callable[..., Spy]:
        """The same as a picture, which shows itself in Jupyter.

        >>> import gradc
        >>> f = gradc.compile("sum(x[i]**2 * x[i + 1] for i in range(n - 1))", {"x": "n"}, jit=False)
        >>> str(f.hessian.draw_pattern([1.0, 2.0, 3.0]))[:4]
        '<svg'
        """
        return self.sparse.draw_pattern

    @functools.cached_property
    def hessian(self) -> Function:
        """All second derivatives, symmetric to the last bit: an array of the argument's shape twice.

        For several `wrt` a named tuple of rows, each a named tuple of blocks: `h.x.y` is d2/dx dy.

        >>> import gradc
        >>> gradc.compile("x**2 * y", jit=False).hessian(2.0, 3.0)
        Hessian(x=Row(x=6.0, y=4.0), y=Row(x=4.0, y=0.0))
        """
        from .jacobian import hessian

        derive.scalar_output(self.prepared, "Hessian")
        start = time.perf_counter()
        base = self.plain if self.rows else self                # elements of it meet by many ways through rows
        graph, names = hessian(base._gradient.prepared, self._differentiated(), self._options.kinks)
        rows = tuple(self._by_argument("Row", row) for row in names)
        groups = [Group(rows, "Hessian", self._wrt) if len(rows) > 1 else rows[0]]
        made = self._made("hessian", graph, groups, self, start)
        made._counts = ()
        return made

    @functools.cached_property
    def many(self) -> Function:
        """Of a `jvp`, `vjp` or `hvp`: several directions (cotangents) at once, along a new last dimension of each.

        The results have it too, so `f.jvp.many(x, V)` is `J @ V`. What does not depend on the direction is computed
        once.

        >>> import gradc
        >>> f = gradc.compile("x[0] * x", "x: n", jit=False)
        >>> f.jvp.many([2.0, 3.0], [[1.0, 0.0], [0.0, 1.0]])
        array([[4., 0.],
               [3., 2.]])
        """
        if self._primal is None or self._name not in derive.PRODUCTS:
            raise DerivativeError(f"{self._name} takes no directions, so there are not many of them: many belongs to "
                                  "f.jvp, f.vjp and f.hvp")
        return self._primal._product(self._name, several=True, owner=self)

    def compressed(self, pattern: Any, *, by: str = "", order: str = "", check: bool = True) -> Compressed:
        """Of a `jacobian` or `hessian`: the same as a sparse matrix, by products; see `gradc.compiler.compressed`.

        >>> import gradc
        >>> f = gradc.compile("x[1:] * x[:-1]", {"x": "n"}, jit=False)
        >>> f.jacobian.compressed([[1, 1, 0], [0, 1, 1]])([1.0, 2.0, 3.0]).toarray()
        array([[2., 1., 0.],
               [0., 3., 2.]])
        """
        from .compressed import compressed

        return compressed(self._primal, self._name, pattern, by, order, check)

    def by(self, wrt: Any) -> Function:
        """The same function with other arguments to differentiate by.

        >>> import gradc
        >>> gradc.compile("x * y**2", jit=False).by("y").grad.by("x").grad(2.0, 3.0)
        6.0
        """
        names = checked_wrt(self._graph, wrt, self.args)
        if names == self._wrt:
            return self
        return Function(self._graph, names, self._options, name=self._name, groups=self._groups, prepared=self._given)

    @functools.cached_property
    def plain(self) -> Function:
        """The same function with no values in rows: each is computed where it is used; see `rows`.

        Calls go there whose places are not many times as many as their elements, and sparse derivatives are taken
        from it.
        """
        if not self.rows:
            return self
        if self._primal is not None:
            made: Function = getattr(self._primal.plain, self._name)
            return made
        made = Function(self._graph, self._wrt, self._options, name=self._name, groups=self._groups,
                        prepared=self.unshared)
        made._twin = self
        return made

    @property
    def _gradient(self) -> Function:
        """The gradient from which second derivatives are taken."""
        return self.grad

    @functools.cached_property
    def summed(self) -> Function:
        """The sum of all that the function returns: its gradient is taken element by element, as of a ufunc."""
        return Function(derive.total(self._graph), self._wrt, self._options, prepared=derive.total(self.unshared))

    def along(self, how: tuple[Any, bool, bool]) -> Any:
        """A derivative and other results beside it: see `along`."""
        from .along import in_shell

        return in_shell(self).along(how)

    def once(self, step: tuple[str, Any]) -> Function:
        """What a method gives for an argument, made once: `by` and `by_mode` at every call of a late function."""
        if step not in self._once:
            self._once[step] = getattr(self, step[0])(step[1])
        return self._once[step]

    def _product(self, name: str, *, several: bool, owner: Function | None = None) -> Function:
        """The Function of a product with the Jacobian or the Hessian."""
        if name == "hvp":
            derive.scalar_output(self.prepared, "Hessian")
        base, start = self._gradient if name == "hvp" else self, time.perf_counter()
        graph = derive.PRODUCTS[name](base.prepared, self._differentiated(), self._options.kinks, several=several)
        groups: Sequence[Group] = (self._gradient_group(),)
        if name != "vjp":
            made = dict(zip((key for key, _ in base.prepared.outputs), (key for key, _ in graph.outputs), strict=True))
            groups = [group.changed(made.__getitem__) for group in base.groups]
        return self._made("many" if several else name, graph, groups, owner or self, start)

    def _made(self, name: str, graph: Graph, groups: Sequence[Group], owner: Function, start: float) -> Function:
        """A derivative with the options of its function; a pickle asks the owner for it."""
        derived = time.perf_counter()
        graph = refine(graph)
        made = Function(graph, self._wrt, self._options, name=name, groups=groups, prepared=graph, primal=owner,
                        rows=owner.rows)
        made._seconds.update(derive=derived - start, simplify=time.perf_counter() - derived)
        return made

    def _differentiated(self) -> tuple[str, ...]:
        """The arguments to differentiate by; DerivativeError if there are none."""
        if not self._wrt:
            advice = "name one in wrt" if real_arguments(self._graph) else "declare a real argument in args"
            raise DerivativeError(f"there is no argument to differentiate by: {advice}")
        return self._wrt

    def _gradient_group(self) -> Group:
        return self._by_argument("Gradient", [f"d_{w}" for w in self._wrt])

    def _by_argument(self, result: str, outputs: Sequence[str]) -> Group:
        """Outputs that there is one of for each of `wrt`: the only one, or a named tuple."""
        return Group(tuple(outputs), result, self._wrt) if len(outputs) > 1 else Group(tuple(outputs))

    @put_off()
    def _derivative(self, name: str, *, with_value: bool) -> Function:
        by, prepared, start = self._differentiated(), self.prepared, time.perf_counter()
        graph = derive.gradient(prepared, by, with_value=with_value, kinks=self._options.kinks)
        value = (Group((graph.outputs[0][0],)),) if with_value else ()
        return self._made(name, graph, (*value, self._gradient_group()), self, start)

    @functools.cached_property
    def _gate(self) -> tuple[derive.Gate, Function, Function]:
        gate = derive.gate(self.unshared, self._wrt, self._options.kinks)
        shown = self._groups[0] if len(self._groups) == 1 else Group(tuple(key for key, _ in self._graph.outputs))
        forward = Function(gate.forward, self._wrt, self._options, name="forward", prepared=gate.forward,
                           groups=(shown, *(Group((key,)) for key in gate.saved)))
        backward = Function(gate.backward, self._wrt, self._options, name="backward", prepared=gate.backward,
                            groups=(self._gradient_group(),))
        return gate, forward, backward

    def forward(self, /, *args: Any, **keywords: Any) -> tuple[Any, Saved]:
        """The value, and what `backward` needs: the forward pass of a gate.

        >>> import gradc
        >>> gate = gradc.compile("x * y", jit=False)
        >>> value, saved = gate.forward(3.0, -4.0)
        >>> value, gate.backward(saved, 2.0)
        (-12.0, Gradient(x=-8.0, y=6.0))
        """
        from .arguments import bind

        values = bind(self.args, args, keywords)
        gate, forward, _ = self._gate
        result = forward(*values)
        if not gate.saved:
            return result, Saved(tuple(values), ())
        return result[0], Saved(tuple(values), tuple(result[1:]))

    def backward(self, saved: Any, d_value: Any = 1.0) -> Any:
        """The gradients for a cotangent of the value (for several outputs a tuple of them).

        >>> import gradc
        >>> gate = gradc.compile("x * y", jit=False)
        >>> gate.backward(gate.forward(3.0, -4.0)[1], 2.0)
        Gradient(x=-8.0, y=6.0)
        """
        gate, _, backward = self._gate
        if not isinstance(saved, Saved) or len(saved.values) != len(gate.saved):
            raise ArgumentError("saved must be what this function's forward returned as its second result")
        several = len(gate.cotangents) > 1
        cotangents = (d_value,) if not several else tuple(d_value) if isinstance(d_value, (tuple, list)) else ()
        if len(cotangents) != len(gate.cotangents):
            raise ArgumentError(f"d_value must hold {len(gate.cotangents)} cotangents, one for each output")
        return backward(*saved.arguments, *saved.values, *cotangents)

    # -- calling, showing and keeping ------------------------------------------------------------

    def __call__(self, /, *args: Any, out: Any = None, workspace: Any = None, **keywords: Any) -> Any:
        """The value; see the class for arguments and errors."""
        if type(self) is Function and self.rows:
            from .signature import choosing_class

            self.__class__ = choosing_class(self)
            return self(*args, out=out, **({} if workspace is None else {"workspace": workspace}), **keywords)
        if type(self) is Function and not isinstance(self._direct, functools.partial):
            from .signature import call_class

            self.__class__ = call_class(self, self._direct, self._classes)
        return self._checked(args, out, keywords, workspace)

    def workspace(self, /, *args: Any, **keywords: Any) -> np.ndarray[Any, Any]:
        """Memory for the buffers of calls with these arguments, or with smaller ones: a vector of float64.

        Given as `workspace=`, it spares the calls the allocation of their buffers; the values are the same to the last
        bit, but for calls that would go to `plain`: with a workspace none does. Of the arguments only the sizes matter,
        and the values of whole numbers that are sizes. What stands in it afterwards means nothing. One call at a time
        may have it: a thread needs its own. It is empty where a function has no buffers, which takes a workspace too
        and leaves it alone. Buffers that routines and the threads of `parallel=True` make for themselves are not in it.
        The first call with a workspace compiles a second form of the function, whose text is the same.

        Raises what a call raises for the arguments. A call raises ArgumentError for a workspace that is too short,
        of another kind, or shares memory with an argument or with `out`.

        >>> import numpy as np
        >>> import gradc
        >>> f = gradc.compile("sum(exp(A @ x))", {"A": "n m", "x": "m"}, jit=False)
        >>> A, x = np.ones((2, 3)), np.zeros(3)
        >>> work = f.grad.workspace(A, x)
        >>> f.grad(A, x, workspace=work).x
        array([2., 2., 2.])
        """
        import numpy as np

        from .arguments import bind, convert

        return np.empty(self._needed(convert(self._graph, bind(self.args, args, keywords))))

    def _checked(self, args: Sequence[Any], out: Any, keywords: Mapping[str, Any], workspace: Any = None) -> Any:
        """The slow path; in a function that is traced, the nodes of the value."""
        from .arguments import is_traced

        if any(map(is_traced, (*args, *keywords.values()))):
            from .calls import nested

            return nested(self, args, keywords)
        return super()._checked(args, out, keywords, workspace)

    def explain(self, /, *args: Any, **values: Any) -> Explanation:
        """The table of every node: value, local partials, adjoint; in symbols without values.

        Arguments and their errors are those of a call.

        >>> import gradc
        >>> print(gradc.compile("x * y", jit=False).explain(x=2.0, y=3.0))
        x * y
        <BLANKLINE>
        node       value  local partials                adjoint    uses
        ---------  -----  ----------------------------  ---------  ----
        x              2                                df/dx = 3     1
        y              3                                df/dy = 2     1
        f = x * y      6  df/dx = y = 3, df/dy = x = 2  df/df = 1
        """
        from .arguments import bind, convert
        from .explain import explain

        if not args and not values:
            return explain(self._graph, self._wrt, None)
        bound = convert(self._graph, bind(self.args, args, values))
        return explain(self._graph, self._wrt, dict(zip(self.args, bound, strict=True)))

    def draw(self, /, *args: Any, direction: str = "LR", **values: Any) -> Drawing:
        """The circuit diagram: forward values in green above the edges, gradients in red below; without values none.

        direction  "LR" from left to right, "TB" from the top down; FormulaError for another
        A graph of more than 3,000 nodes is a SizeError. Arguments and their errors are those of a call.

        >>> import gradc
        >>> gradc.compile("x * y", jit=False).draw(x=2.0, y=3.0).svg[:4]
        '<svg'
        """
        from .arguments import bind, convert
        from .draw import draw

        bound = None
        if args or values:
            converted = convert(self._graph, bind(self.args, args, values))
            bound = dict(zip(self.args, converted, strict=True))
        return draw(self._graph, self._wrt, bound, direction=direction)

    def save(self, path: Any) -> None:
        """Write one standalone Python file that needs NumPy, uses Numba if it is there, and checks itself.

        >>> import gradc, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "product.py")
        ...     gradc.compile("x * y", jit=False).grad.save(path)
        ...     "def grad(" in path.read_text()
        True
        """
        from .save import save

        save(self, path)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._twin is not None:
            return getattr, (self._twin, "plain")
        if self._primal is not None:                            # derived again where it arrives
            return getattr, (self._primal, self._name)
        groups = tuple((g.outputs, g.result, g.fields) for g in self._groups)
        options = astuple(self._options)
        return rebuild, (str(self._graph), self._wrt, options, self._name, groups, self._given is not None)


def rebuild(text: str, wrt: Sequence[str], options: tuple[bool, bool, str, bool], name: str,
            groups: Sequence[tuple[tuple[str, ...], str, tuple[str, ...]]], derived: bool) -> Function:
    """A Function from its graph's text and its options: what a pickle calls. It holds no code."""
    from .simplify import simplify

    graph = from_text(text)
    made, prepared = [Group(*group) for group in groups], simplify(graph) if derived else None
    return Function(prepared or graph, wrt, Options(*options), name=name, groups=made, prepared=prepared)


def _has_loops(graph: Graph) -> bool:
    """Whether anything is computed for each point of an axis."""
    return any(node.axes or node.is_reduction for node in graph.reachable())


def _drawn(graph: Graph, format: str) -> str:
    """The picture of any graph, for `graph.to_svg()` and `graph.to_dot()`."""
    from .draw import draw

    return str(draw(graph, (), None, format=format))


drawing.register(_drawn)
