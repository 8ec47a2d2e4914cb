"""A small convolutional network on scikit-learn's digits, trained by mini-batches with momentum and dropout."""

import numpy as np
from rich.progress import track
from sklearn.datasets import load_digits

import gradc
from gradc import nn

SHAPES = {"x": "n 1 8 8", "y": "int n", "keep": "bool n m*16", "W1": "k 1 3 3", "b1": "k", "W2": "m k 3 3", "b2": "m",
          "W3": "c m*16", "b3": "c"}
LAYERS = tuple(SHAPES)[3:]


def features(x, W1, b1, W2, b2):
    first = nn.relu(nn.conv2d(x, W1, padding="same") + b1[:, None, None])
    second = nn.relu(nn.conv2d(nn.max_pool(first, 2), W2, padding="same") + b2[:, None, None])
    return np.reshape(second, (x.shape[0], -1))


@gradc.compile(args=SHAPES, wrt=LAYERS)
def loss(x, y, keep, W1, b1, W2, b2, W3, b3):
    kept = nn.dropout(features(x, W1, b1, W2, b2), keep, 0.5)
    return nn.cross_entropy(kept @ W3.T + b3, y)


def train(x, y, epochs=40, batch=16, rate=0.03, momentum=0.9):
    random = np.random.default_rng(0)
    layers, curve = [], []
    for shape in ((16, 1, 3, 3), (32, 16, 3, 3), (10, 32 * 16)):
        layers += [random.normal(0.0, np.sqrt(2 / np.prod(shape[1:])), shape), np.zeros(shape[0])]
    speed = [np.zeros_like(layer) for layer in layers]
    for epoch in track(range(epochs), "training"):
        order = random.permutation(len(x))
        step = rate * (1 - epoch / epochs)
        for start in range(0, len(x), batch):
            chosen = order[start:start + batch]
            keep = random.random((len(chosen), 32 * 16)) < 0.5
            value, gradient = loss.value_and_grad(x[chosen], y[chosen], keep, *layers)
            speed = [momentum * v - step * g for v, g in zip(speed, gradient, strict=True)]
            layers = [layer + v for layer, v in zip(layers, speed, strict=True)]
            curve.append(value)
    return layers, curve


def main():
    digits = load_digits()
    x, y = digits.images[:, None] / 16.0, digits.target
    order = np.random.default_rng(1).permutation(len(x))
    training, test = order[:1400], order[1400:]
    (*kernels, W3, b3), curve = train(x[training], y[training])
    np.savetxt("convolutional_network_loss.csv", curve, header="loss of each batch")
    accuracy = np.mean(np.argmax(features(x[test], *kernels) @ W3.T + b3, axis=1) == y[test])
    print(f"the loss fell from {curve[0]:.3f} to {np.mean(curve[-20:]):.4f}; {accuracy:.1%} of the test digits right")
    return accuracy


if __name__ == "__main__":
    assert main() >= 0.98
