"""Train a small neural network on scikit-learn's handwritten digits: real work, no download, under a minute.

Nothing here knows of costmeter; `costmeter run -- python examples/digits/train.py` meters it from outside.
"""

import argparse
import os
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

SIDE = 8
CLASSES = np.arange(10)
SHIFTS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
Digits = tuple[NDArray[np.float64], NDArray[np.int64]]


def load(seed: int) -> tuple[Digits, Digits, Digits]:
    """The digits, scaled to 0..1, as training, validation and test sets of 60, 20 and 20 percent."""
    digits = load_digits()
    images, labels = digits.data / 16.0, digits.target
    train_x, rest_x, train_y, rest_y = train_test_split(
        images, labels, test_size=0.4, stratify=labels, random_state=seed
    )
    valid_x, test_x, valid_y, test_y = train_test_split(
        rest_x, rest_y, test_size=0.5, stratify=rest_y, random_state=seed
    )
    return (train_x, train_y), (valid_x, valid_y), (test_x, test_y)


def shifted(digits: Digits) -> Digits:
    """Every image as it is and moved by one pixel in eight directions: nine times the data."""
    flat, labels = digits
    padded = np.pad(flat.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)))
    moved = [padded[:, 1 - down : 1 - down + SIDE, 1 - right : 1 - right + SIDE] for down, right in SHIFTS]
    return np.concatenate(moved).reshape(-1, SIDE * SIDE), np.tile(labels, len(SHIFTS))


def train_one_epoch(model: MLPClassifier, digits: Digits, batch_size: int, rng: np.random.Generator) -> float:
    """Show the model every image once, in a fresh order; the mean loss over the batches."""
    images, labels = digits
    order = rng.permutation(len(labels))
    losses = []
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        model.partial_fit(images[batch], labels[batch], classes=CLASSES)
        losses.append(model.loss_)
    return float(np.mean(losses))


def save(model: MLPClassifier, path: Path) -> None:
    """Write the checkpoint whole or not at all: a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    joblib.dump(model, unfinished)
    os.replace(unfinished, path)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a small neural network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/digits.joblib"))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    train, valid, test = load(args.seed)
    train = shifted(train)
    rng = np.random.default_rng(args.seed)
    model = MLPClassifier((512, 256), learning_rate_init=args.learning_rate, alpha=1e-4, random_state=args.seed)
    print(f"training on {len(train[1]):,} images, validating on {len(valid[1])}, testing on {len(test[1])}", flush=True)

    for epoch in range(1, args.epochs + 1):
        loss = train_one_epoch(model, train, args.batch_size, rng)
        accuracy = model.score(*valid)
        save(model, args.checkpoint)
        print(f"epoch {epoch:2}/{args.epochs}  loss {loss:.4f}  validation accuracy {accuracy:.4f}", flush=True)

    print(f"test accuracy {model.score(*test):.4f}, checkpoint in {args.checkpoint}", flush=True)


if __name__ == "__main__":
    main()
