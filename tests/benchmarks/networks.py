"""Networks beside PyTorch and JAX: `python -m tests.benchmarks.networks` prints one table, measured in one run.

The loss of networks of two and three layers (named by their widths) and of a convolutional one on images of 28 x 28,
forward and with the gradient by all layers, for several batches and dtypes. Each library has the network in its own
words, on its own arrays, with one thread; a library that is not installed is left out with a note. Beside them stands
the best that loops by hand do, where there are any: what memory allows. Times are the least process CPU time of calls
that take turns (`timing`), and every gradient must agree with that of the first library.
"""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from .environment import SINGLE_THREAD, cache_folders, one_core

CLASSES, SIDE, FIRST_KERNELS, KERNELS = 10, 28, 8, 16
FLAT = KERNELS * (SIDE // 4) ** 2
WIDTHS = ((64, 32, 10), (784, 128, 64, 10), (784, 256, 128, 10))
SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    **{"-".join(map(str, widths)): tuple(zip(widths[1:], widths[:-1], strict=True)) for widths in WIDTHS},
    "convolutional": ((FIRST_KERNELS, 1, 3, 3), (KERNELS, FIRST_KERNELS, 3, 3), (CLASSES, FLAT)),
}
TWO = {"x": "n d", "y": "int n", "W1": "h d", "W2": "c h"}
THREE = {"x": "n d", "y": "int n", "W1": "h d", "W2": "k h", "W3": "c k"}
IMAGES = {"x": f"n 1 {SIDE} {SIDE}", "y": "int n", "W1": "k 1 3 3", "W2": "m k 3 3", "W3": f"c m*{(SIDE // 4) ** 2}"}
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}
Calls = tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]


# -- the libraries: (loss, loss and gradient, arguments) of a network ------------------------------


def in_gradc(network: str, given: list[Any]) -> Calls:
    """Compiled from NumPy code, sizes unknown."""
    import gradc
    from gradc import nn

    def two(x: Any, y: Any, W1: Any, W2: Any) -> Any:
        return nn.cross_entropy(nn.relu(x @ W1.T) @ W2.T, y)

    def three(x: Any, y: Any, W1: Any, W2: Any, W3: Any) -> Any:
        return nn.cross_entropy(nn.relu(nn.relu(x @ W1.T) @ W2.T) @ W3.T, y)

    def convolutional(x: Any, y: Any, W1: Any, W2: Any, W3: Any) -> Any:
        first = nn.max_pool(nn.relu(nn.conv2d(x, W1, padding="same")), 2)
        second = nn.max_pool(nn.relu(nn.conv2d(first, W2, padding="same")), 2)
        return nn.cross_entropy(np.reshape(second, (x.shape[0], -1)) @ W3.T, y)

    written, declared = (
        (convolutional, IMAGES) if network == "convolutional" else (two, TWO) if len(given) == 4 else (three, THREE)
    )
    prefix = "float32 " if given[0].dtype == np.float32 else ""
    args = {name: text if text.startswith("int") else prefix + text for name, text in declared.items()}
    f = gradc.compile(written, args, wrt=[name for name in args if name.startswith("W")])
    return f, f.value_and_grad, tuple(given)


def in_pytorch(network: str, given: list[Any]) -> Calls:
    """Eager, as it is used."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(1)

    def loss(x: Any, y: Any, *layers: Any) -> Any:
        if network == "convolutional":
            for w in layers[:2]:
                x = F.max_pool2d(F.relu(F.conv2d(x, w, padding="same")), 2)
            return F.cross_entropy(F.linear(x.flatten(1), layers[2]), y)
        for w in layers[:-1]:
            x = F.relu(F.linear(x, w))
        return F.cross_entropy(F.linear(x, layers[-1]), y)

    def forward(*args: Any) -> Any:
        with torch.no_grad():
            return loss(*args)

    def both(*args: Any) -> Any:
        value = loss(*args)
        return value.detach(), torch.autograd.grad(value, args[2:])

    x, y, *layers = (torch.tensor(array) for array in given)
    return forward, both, (x, y, *(layer.requires_grad_() for layer in layers))


def in_jax(network: str, given: list[Any]) -> Calls:
    """Jitted for this size."""
    import jax
    from jax import numpy as jnp

    def pooled(x: Any) -> Any:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def loss(x: Any, y: Any, *layers: Any) -> Any:
        if network == "convolutional":
            for w in layers[:2]:
                x = pooled(jax.nn.relu(jax.lax.conv_general_dilated(x, w, (1, 1), "SAME")))
            x = x.reshape(x.shape[0], -1)
        else:
            for w in layers[:-1]:
                x = jax.nn.relu(x @ w.T)
        chosen = jax.nn.log_softmax(x @ layers[-1].T)
        return -jnp.mean(jnp.take_along_axis(chosen, y[:, None], axis=1))

    value = jax.jit(loss)
    both = jax.jit(jax.value_and_grad(loss, tuple(range(2, len(given)))))
    return (lambda *args: value(*args).block_until_ready(), lambda *args: jax.block_until_ready(both(*args)),
            tuple(map(jnp.asarray, given)))


def by_hand(network: str, given: list[Any]) -> Calls:
    """Loops for Numba."""
    from .cases import neural_by_hand as written

    loss, both = (written.two, written.two_and_grad) if len(given) == 4 else (written.three, written.three_and_grad)
    return loss, both, tuple(given)


LIBRARIES: dict[str, tuple[str, Callable[[str, list[Any]], Calls]]] = {
    "gradc": ("gradc", in_gradc), "by hand (Numba)": ("numba", by_hand), "PyTorch": ("torch", in_pytorch),
    "JAX": ("jax", in_jax)}


def written(library: str, network: str) -> bool:
    """Whether a library has a network."""
    return library != "by hand (Numba)" or network != "convolutional"


# -- the table ------------------------------------------------------------------------------------


def arguments(network: str, batch: int, dtype: str) -> list[Any]:
    """Images, labels and layers."""
    random = np.random.default_rng(0)
    shape = (batch, 1, SIDE, SIDE) if network == "convolutional" else (batch, SHAPES[network][0][1])
    layers = [random.standard_normal(s) * np.sqrt(2 / np.prod(s[1:])) for s in SHAPES[network]]
    return [random.random(shape).astype(dtype), random.integers(0, CLASSES, batch), *(w.astype(dtype) for w in layers)]


def agree(found: Any, wanted: Any, tolerance: float) -> bool:
    """Whether two results (value, gradients) are equal up to rounding."""
    pairs = zip([found[0], *found[1]], [wanted[0], *wanted[1]], strict=True)
    return all(np.max(np.abs(np.asarray(a) - np.asarray(b))) <= tolerance * max(
        1.0, float(np.max(np.abs(np.asarray(b))))) for a, b in pairs)


def measured(network: str, batch: int, dtype: str, libraries: list[str], rounds: int) -> tuple[list[str], bool]:
    """The lines of one network, batch and dtype, and whether all gradients agreed."""
    from .case import Call
    from .timing import minimum_times

    given = arguments(network, batch, dtype)
    libraries = [name for name in libraries if written(name, network)]
    built = {name: LIBRARIES[name][1](network, given) for name in libraries}
    results = {name: both(*args) for name, (_, both, args) in built.items()}
    wrong = [name for name in libraries if not agree(results[name], results[libraries[0]], TOLERANCE[dtype])]
    for forward, _, args in built.values():
        forward(*args)
    calls = [Call(function, args) for forward, both, args in built.values() for function in (forward, both)]
    times = [time.seconds for time in minimum_times(calls, rounds)]
    own = times[:2]
    lines = []
    for at, name in enumerate(libraries):
        value, gradient = times[2 * at:2 * at + 2]
        lines.append(f"{network:15} {dtype:8} {batch:5}  {name:15} {value * 1e6:12,.1f} {gradient * 1e6:12,.1f} "
                     f"{gradient / value:9.2f} {own[0] / value:9.2f} {own[1] / gradient:9.2f}"
                     f"{'  DIFFERS' if name in wrong else ''}")
    return lines, not wrong


def main() -> int:
    """Measures what the options select; 1 if a gradient differed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.networks", description="Networks in one table.")
    parser.add_argument("--network", action="append", choices=list(SHAPES), help="only this one (repeatable)")
    parser.add_argument("--batch", action="append", type=int, help="1, 32 and 1024 by default (repeatable)")
    parser.add_argument("--dtype", action="append", choices=list(TOLERANCE), help="both by default (repeatable)")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds; the minimum counts")
    options = parser.parse_args()
    one_core()
    os.environ.update(SINGLE_THREAD)
    agreed = True
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(cache_folders(folder))
        present = []
        for name, (module, _) in LIBRARIES.items():
            try:
                importlib.import_module(module)
                present.append(name)
            except ModuleNotFoundError:
                print(f"{name} is not installed")
        print("Microseconds a call, least process CPU time, one thread; the last columns: gradc's time over this one's")
        print(f"{'network':15} {'dtype':8} {'batch':>5}  {'':15} {'loss':>12} {'and gradient':>12} {'ratio':>9} "
              f"{'loss':>9} {'gradient':>9}")
        for network in options.network or SHAPES:
            for dtype in options.dtype or TOLERANCE:
                for batch in options.batch or (1, 32, 1024):
                    lines, fine = measured(network, batch, dtype, present, options.rounds)
                    agreed &= fine
                    print("\n".join(lines), flush=True)
    return int(not agreed)


if __name__ == "__main__":
    raise SystemExit(main())
