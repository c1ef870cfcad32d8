"""Golden files: what people read, whole, as it was last approved. `COSTMETER_GOLDEN=write` writes them anew."""

import os
from pathlib import Path

_FOLDER = Path(__file__).parent


def golden(name: str, text: str) -> str:
    """The approved text of a name; with COSTMETER_GOLDEN=write, `text` is approved first."""
    path = _FOLDER / name
    if os.environ.get("COSTMETER_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8")
