"""The two-layer network W2 max(0, W1 x) on scikit-learn's digits, trained by mini-batch gradient descent."""

import numpy as np
from rich.progress import track
from sklearn.datasets import load_digits

import gradc
from gradc import nn


def scores(W1, W2, x):
    hidden = np.maximum(0, x @ W1.T)
    return hidden @ W2.T


@gradc.compile(args={"W1": "h d", "W2": "c h", "x": "n d", "y": "int n"}, wrt=("W1", "W2"))
def loss(W1, W2, x, y):
    return nn.cross_entropy(scores(W1, W2, x), y)


def train(x, y, epochs=30, batch=32, rate=0.2):
    random = np.random.default_rng(0)
    W1 = random.normal(0.0, np.sqrt(2 / x.shape[1]), (64, x.shape[1]))
    W2 = random.normal(0.0, np.sqrt(2 / 64), (10, 64))
    curve = []
    for _ in track(range(epochs), "training"):
        order = random.permutation(len(x))
        for start in range(0, len(x), batch):
            chosen = order[start:start + batch]
            value, gradient = loss.value_and_grad(W1, W2, x[chosen], y[chosen])
            W1, W2 = W1 - rate * gradient.W1, W2 - rate * gradient.W2
            curve.append(value)
    return W1, W2, curve


def main():
    digits = load_digits()
    x, y = digits.data / 16.0, digits.target
    order = np.random.default_rng(1).permutation(len(x))
    training, test = order[:1400], order[1400:]
    W1, W2, curve = train(x[training], y[training])
    np.savetxt("two_layer_network_loss.csv", curve, header="loss of each batch")
    accuracy = np.mean(np.argmax(scores(W1, W2, x[test]), axis=1) == y[test])
    print(f"the loss fell from {curve[0]:.3f} to {np.mean(curve[-20:]):.4f}; {accuracy:.1%} of the test digits right")
    return accuracy


if __name__ == "__main__":
    assert main() >= 0.95
