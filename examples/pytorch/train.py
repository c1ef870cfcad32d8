"""Train a small convolutional network on handwritten digits with PyTorch, on the GPU where there is one.

Every epoch ends with a checkpoint, `--resume` goes on from it, and SIGTERM, which is how clusters and spot instances
announce the end, saves one before leaving. `costmeter run -- python examples/pytorch/train.py` meters it from outside.

The lines with `costmeter` in them tell the meter how far it is, so that the receipt knows what a step, an evaluation
and a checkpoint cost, and when the training will be done. Without a meter they do nothing, and without costmeter
installed three lines stand in for it.
"""

import argparse
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split

try:
    import costmeter
except ImportError:  # it trains without it just as well
    from types import SimpleNamespace

    silent = SimpleNamespace(step=lambda *_, **__: None, phase=lambda _: nullcontext(), stop_requested=lambda: False)
    costmeter = silent  # type: ignore[assignment]


class StopRequest:
    """Remembers that SIGTERM came, or sees that the budget is spent, so that the loop can leave between two batches."""

    def __init__(self) -> None:
        self.reason = ""
        signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, signum: int, frame: FrameType | None) -> None:
        self.reason = "SIGTERM"

    @property
    def came(self) -> bool:
        """Whether to save and leave."""
        if not self.reason and costmeter.stop_requested():
            self.reason = "budget spent"
        return bool(self.reason)


def network() -> nn.Module:
    """Two convolutions and a linear layer over images of 8 by 8 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(64 * 4 * 4, 10),
    )


def loaders(batch_size: int, seed: int) -> tuple[DataLoader[tuple[Tensor, ...]], DataLoader[tuple[Tensor, ...]]]:
    """Four fifths of the digits to train on and one fifth to evaluate on, the same split for every run of a seed."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    data = TensorDataset(images, torch.tensor(digits.target))
    train, held_out = random_split(data, [0.8, 0.2], generator=torch.Generator().manual_seed(seed))
    return DataLoader(train, batch_size, shuffle=True), DataLoader(held_out, batch_size=512)


class Training:
    """The model, its optimizer and how far they have come: what a checkpoint holds."""

    def __init__(self, device: torch.device, learning_rate: float) -> None:
        self.device = device
        self.model = network().to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=learning_rate)
        self.epochs_done = self.steps_done = 0

    def save(self, path: Path) -> None:
        """Write the checkpoint whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".part")
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epochs_done": self.epochs_done,
            "steps_done": self.steps_done,
            "random": torch.get_rng_state(),
        }
        torch.save(state, unfinished)
        os.replace(unfinished, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epochs_done, self.steps_done = state["epochs_done"], state["steps_done"]
        torch.set_rng_state(state["random"])

    def train_one_epoch(self, batches: DataLoader[tuple[Tensor, ...]], of_steps: int, stop: StopRequest) -> float:
        """Mean loss over the epoch, or over its part before a stop request."""
        self.model.train()
        total, count = 0.0, 0
        for images, labels in batches:
            if stop.came:
                break
            loss = nn.functional.cross_entropy(self.model(images.to(self.device)), labels.to(self.device))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(labels)
            count += len(labels)
            self.steps_done += 1
            costmeter.step(self.steps_done, loss=loss, of=of_steps)
        return total / max(count, 1)

    @torch.no_grad()
    def accuracy(self, batches: DataLoader[tuple[Tensor, ...]]) -> float:
        """Share of the held-out digits the model names rightly."""
        self.model.eval()
        right, count = 0, 0
        for images, labels in batches:
            right += int((self.model(images.to(self.device)).argmax(1).cpu() == labels).sum())
            count += len(labels)
        return right / count


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a small convolutional network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/digits.pt"))
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint, if there is one")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    args = arguments()
    stop = StopRequest()
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train, held_out = loaders(args.batch_size, args.seed)
    training = Training(device, args.learning_rate)
    if args.resume and args.checkpoint.exists():
        training.load(args.checkpoint)
        print(f"resumed after epoch {training.epochs_done}", flush=True)
    print(f"training on {device}", flush=True)

    while training.epochs_done < args.epochs:
        loss = training.train_one_epoch(train, args.epochs * len(train), stop)
        if stop.came:
            # The unfinished epoch does not count as done: after --resume it is trained again.
            with costmeter.phase("checkpoint"):
                training.save(args.checkpoint)
            print(f"{stop.reason}: saved {args.checkpoint}; go on with --resume", flush=True)
            return 128 + signal.SIGTERM if stop.reason == "SIGTERM" else 0
        training.epochs_done += 1
        with costmeter.phase("checkpoint"):
            training.save(args.checkpoint)
        with costmeter.phase("eval"):
            accuracy = training.accuracy(held_out)
        print(f"epoch {training.epochs_done:2}/{args.epochs}  loss {loss:.4f}  accuracy {accuracy:.4f}", flush=True)

    print(f"held-out accuracy {training.accuracy(held_out):.4f}, checkpoint in {args.checkpoint}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
