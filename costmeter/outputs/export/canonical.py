"""The files as they came with the package."""

from collections.abc import Iterator, Mapping
from importlib.resources import files

TYPE_CHECKING = False  # the type moved in 3.11 and went from its old place in 3.14
if TYPE_CHECKING:
    from importlib.abc import Traversable


def canonical() -> Mapping[str, str]:
    """Every file of files/ by its path there, in USD and with its @PLACES@ unfilled. Raises OSError."""
    return dict(_below(files("costmeter.outputs.export") / "files", ""))


def _below(folder: "Traversable", path: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _below(entry, f"{path}{entry.name}/")
        else:
            yield f"{path}{entry.name}", entry.read_text(encoding="utf-8")
