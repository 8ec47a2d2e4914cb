"""A multiply gate with forward and backward, as a layer of a network has it; two of them make a chain.

`forward` gives the value and what `backward` needs; `backward` takes the gradient that arrives at the
output and gives the gradients at the inputs.
"""

import gradc

multiply = gradc.compile("x * y")
squash = gradc.compile("1 / (1 + exp(-t))")

# Forward through both gates: s = sigmoid(x * y).
product, saved_product = multiply.forward(3.0, -0.5)
s, saved_s = squash.forward(product)

# Backward through both, from ds/ds = 1.
d_product = squash.backward(saved_s, 1.0)
d_x, d_y = multiply.backward(saved_product, d_product)
print(f"s = {s:.6f}, ds/dx = {d_x:.6f}, ds/dy = {d_y:.6f}")

# The gates in one formula give the same.
whole = gradc.compile("1 / (1 + exp(-(x * y)))")
value, gradient = whole.value_and_grad(3.0, -0.5)

assert product == -1.5
assert abs(s - value) < 1e-15
assert abs(d_x - gradient.x) < 1e-15
assert abs(d_y - gradient.y) < 1e-15
assert multiply.backward(saved_product, 2.0) == (-1.0, 6.0)
