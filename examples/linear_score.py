"""The linear score W x on scikit-learn's digits: softmax regression by gradient descent, one template a class."""

import numpy as np
from rich.progress import track
from sklearn.datasets import load_digits

import gradc
from gradc import nn


@gradc.compile(args={"W": "c d", "b": "c", "x": "n d", "y": "int n"}, wrt=("W", "b"))
def loss(W, b, x, y):
    score = x @ W.T + b
    return nn.cross_entropy(score, y) + 0.0005 * np.sum(W**2)


def train(x, y, steps=300, rate=0.5):
    W, b, curve = np.zeros((10, x.shape[1])), np.zeros(10), []
    for _ in track(range(steps), "training"):
        value, gradient = loss.value_and_grad(W, b, x, y)
        W, b = W - rate * gradient.W, b - rate * gradient.b
        curve.append(value)
    return W, b, curve


def main():
    digits = load_digits()
    x, y = digits.data / 16.0, digits.target
    order = np.random.default_rng(1).permutation(len(x))
    training, test = order[:1400], order[1400:]
    W, b, curve = train(x[training], y[training])
    np.savetxt("linear_score_loss.csv", curve, header="loss of each step")
    accuracy = np.mean(np.argmax(x[test] @ W.T + b, axis=1) == y[test])
    print(f"the loss fell from {curve[0]:.3f} to {curve[-1]:.4f}; {accuracy:.1%} of the test digits right")
    return accuracy


if __name__ == "__main__":
    assert main() >= 0.93
