"""Compiled functions on tensors: values, derivatives of any order in both modes, networks, precision, devices."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gradc
from gradc.compiler import torch_function

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def compiled(*args: Any, **options: Any) -> Any:
    return gradc.compile(*args, jit=False, **options)


WAVE = compiled("sum(sin(W @ x)) * k", {"W": "m n", "x": "n", "k": ""})
PAIR = compiled("x * sin(x) * y, sum(x)**2, n", {"x": "n", "y": ""})


def tensors() -> Any:
    torch.manual_seed(1)
    W, x = torch.randn(3, 2, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    return W.requires_grad_(), x.requires_grad_(), torch.tensor(1.5, dtype=torch.float64, requires_grad=True)


def test_value_and_gradients_are_those_of_the_function() -> None:
    W, x, k = tensors()
    value = WAVE.torch()(W, x, k=k)
    value.backward()
    arrays = [tensor.detach().numpy() for tensor in (W, x)]
    assert value.dtype == torch.float64 and value.item() == WAVE(*arrays, 1.5)
    for tensor, wanted in zip((W, x, k), WAVE.grad(*arrays, 1.5), strict=True):
        assert_allclose(tensor.grad.numpy(), wanted, rtol=1e-15)


def test_first_and_second_derivatives_agree_with_differences_in_both_modes() -> None:
    wave, pair, (W, x, k) = WAVE.torch(), PAIR.torch(), tensors()
    assert torch.autograd.gradcheck(wave, (W, x, k), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(wave, (W, x, k))
    assert torch.autograd.gradcheck(lambda x, k: pair(x, k)[:2], (x, k), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda x, k: pair(x, k)[:2], (x, k))


def test_a_third_derivative_is_one_of_the_second() -> None:
    f, x = compiled("sin(2 * x)", None).torch(), torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    derivative = f(x)
    for _ in range(3):
        (derivative,) = torch.autograd.grad(derivative, x, create_graph=True)
    assert_allclose(derivative.item(), -8.0 * np.cos(0.6), rtol=1e-14)


def test_transforms_of_functions_know_it() -> None:
    wave, (W, x, k) = WAVE.torch(), (tensor.detach() for tensor in tensors())
    rows = torch.randn(4, 2, dtype=torch.float64)
    batch = torch.func.vmap(torch.func.grad(lambda row: wave(W, row, k)))(rows)
    assert_allclose(batch[2].numpy(), WAVE.grad(W.numpy(), rows[2].numpy(), k.item()).x, rtol=1e-14)
    hessian = torch.func.hessian(lambda x: wave(W, x, k))(x)
    assert_allclose(hessian.numpy(), WAVE.by("x").hessian(W.numpy(), x.numpy(), k.item()), rtol=1e-13, atol=1e-15)
    batch = torch.func.vmap(lambda x, y: PAIR.torch()(x, y)[0], in_dims=(1, None))(rows.T, k)
    assert batch.shape == (4, 2)


def test_only_what_is_wanted_is_derived() -> None:
    W, x, _ = tensors()
    WAVE.torch()(W.detach(), x, 2.0).backward()
    assert W.grad is None and x.grad is not None
    assert not WAVE.torch()(W.detach(), x.detach(), 2.0).requires_grad
    with torch.no_grad():
        assert not WAVE.torch()(W, x, 2.0).requires_grad


def test_results_that_are_whole_or_unused_have_no_part_in_a_gradient() -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    first, second, count = PAIR.torch()(x, 3.0)
    assert count.item() == 2 and not count.requires_grad and count.dtype == torch.int64
    second.backward()
    assert_allclose(x.grad.numpy(), [6.0, 6.0])
    assert first.shape == (2,)


def test_it_is_a_layer_of_a_network_in_single_precision() -> None:
    @gradc.compile
    def layer(parameters: Any, x: Any) -> Any:
        return {"out": np.tanh(x @ parameters["W"] + parameters["b"]), "largest": np.max(x)}

    class Network(torch.nn.Module):                             # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.W = torch.nn.Parameter(torch.ones(2, 3) * 0.1)
            self.b = torch.nn.Parameter(torch.zeros(3))
            self.last = torch.nn.Linear(3, 1)
            self.layer = layer.torch()

        def forward(self, x: Any) -> Any:
            return self.last(self.layer({"W": self.W, "b": self.b}, x)["out"])

    torch.manual_seed(0)
    network, x = Network(), torch.randn(5, 2)
    loss = (network(x) ** 2).sum()
    loss.backward()
    W, b = network.W.detach().clone().requires_grad_(), network.b.detach().clone().requires_grad_()
    (network.last(torch.tanh(x @ W + b)) ** 2).sum().backward()
    assert network.W.grad.dtype == torch.float32
    assert_allclose(network.W.grad.numpy(), W.grad.numpy(), rtol=1e-5, atol=1e-6)
    assert_allclose(network.b.grad.numpy(), b.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_tensors_share_their_memory_with_the_compiled_code() -> None:
    x = torch.randn(4, dtype=torch.float64)
    assert torch_function._array(x).ctypes.data == x.data_ptr()
    strided = torch.randn(4, 6, dtype=torch.float64)[:, ::2]
    assert_allclose(compiled("sum(x * x)", {"x": "n m"}).torch()(strided).item(), (strided**2).sum().item(), rtol=1e-14)


def test_an_operation_pickles_as_its_function_does() -> None:
    W, x, k = tensors()
    for made in (pickle.loads(pickle.dumps(WAVE.torch())), copy.deepcopy(WAVE.torch())):
        assert made(W, x, k).item() == WAVE.torch()(W, x, k).item()
    assert "of gradc on tensors" in repr(WAVE.torch())


def test_numbers_of_any_precision_are_numbers() -> None:
    k = torch.tensor(2.0, requires_grad=True)
    x = torch.ones(2, dtype=torch.float64)
    compiled("sum(x) * k", {"x": "n", "k": ""}).torch()(x, k).backward()
    assert k.grad.dtype == torch.float32 and k.grad.item() == 2.0


def test_whole_numbers_are_converted_for_real_arguments() -> None:
    assert compiled("sum(x)", {"x": "n"}).torch()(torch.tensor([1, 2])).item() == 3.0


@pytest.mark.parametrize(("change", "match"), [
    (lambda x: x.float(), r"the argument x is float64, and a tensor of torch.float32 is given: write x.double\(\), or "
                          'declare "float32 n"'),
    (lambda x: x.to("meta"), r"a tensor is on meta, and compiled functions run on the processor: give x.cpu\(\)"),
    (lambda x: x.to_sparse(), r"a tensor has the layout torch.sparse_coo: give x.to_dense\(\)"),
    (lambda x: x.to(torch.complex128), "a tensor is complex, and all numbers are real here"),
    (lambda x: x.to(torch.bfloat16), r"a tensor is torch.bfloat16, which NumPy has not: give x.float\(\)"),
])
def test_tensors_that_do_not_fit_are_refused(change: Any, match: str) -> None:
    W, x, k = (tensor.detach() for tensor in tensors())
    with pytest.raises(gradc.ArgumentError, match=match):
        WAVE.torch()(W, change(x), k)


def test_shapes_that_disagree_are_refused_as_ever() -> None:
    W, x, k = tensors()
    with pytest.raises(gradc.ShapeError, match=r"x.shape\[0\] is 1, but n"):
        WAVE.torch()(W, x[:1], k)
    with pytest.raises(gradc.ShapeError, match="must be a scalar"):
        WAVE.torch()(W, x, x)
    with pytest.raises(gradc.ArgumentError, match="the argument k is missing"):
        WAVE.torch()(W, x)


def test_without_pytorch_the_adapter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(gradc.UnsupportedError, match=r"f.torch\(\) needs torch, .*pip install 'gradc\[torch\]'"):
        WAVE.torch()
