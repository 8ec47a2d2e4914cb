"""A three-layer network on scikit-learn's digits, written in NumPy, trained by mini-batch gradient descent."""

import itertools

import numpy as np
from rich.progress import track
from sklearn.datasets import load_digits

import gradc
from gradc import nn

SHAPES = {"x": "n d", "y": "int n", "W1": "h d", "b1": "h", "W2": "k h", "b2": "k", "W3": "c k", "b3": "c"}
LAYERS = tuple(SHAPES)[2:]


def scores(x, W1, b1, W2, b2, W3, b3):
    first = nn.relu(x @ W1.T + b1)
    second = nn.relu(first @ W2.T + b2)
    return second @ W3.T + b3


@gradc.compile(args=SHAPES, wrt=LAYERS)
def loss(x, y, W1, b1, W2, b2, W3, b3):
    return nn.cross_entropy(scores(x, W1, b1, W2, b2, W3, b3), y)


def train(x, y, epochs=30, batch=32, rate=0.1):
    random = np.random.default_rng(0)
    sizes = [x.shape[1], 64, 32, 10]
    layers = []
    for before, after in itertools.pairwise(sizes):
        layers += [random.normal(0.0, np.sqrt(2.0 / before), (after, before)), np.zeros(after)]
    curve = []
    for _ in track(range(epochs), "training"):
        order = random.permutation(len(x))
        for start in range(0, len(x), batch):
            chosen = order[start:start + batch]
            value, gradient = loss.value_and_grad(x[chosen], y[chosen], *layers)
            curve.append(value)
            layers = [layer - rate * step for layer, step in zip(layers, gradient, strict=True)]
    return layers, curve


def main():
    digits = load_digits()
    x, y = digits.data / 16.0, digits.target
    order = np.random.default_rng(1).permutation(len(x))
    training, test = order[:1400], order[1400:]
    layers, curve = train(x[training], y[training])
    np.savetxt("digits_loss.csv", curve, header="loss of each batch")
    accuracy = np.mean(np.argmax(scores(x[test], *layers), axis=1) == y[test])
    print(f"the loss fell from {curve[0]:.3f} to {np.mean(curve[-20:]):.4f}; {accuracy:.1%} of the test digits right")
    return accuracy


if __name__ == "__main__":
    assert main() >= 0.95
