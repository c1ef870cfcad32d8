"""Documents and real files in a real folder, for tests of settings."""

from collections.abc import Mapping
from pathlib import Path

from costmeter.config.build import Merged, build
from costmeter.config.layers import load_settings
from costmeter.config.parse import parse
from costmeter.config.settings import Loaded, Settings
from costmeter.config.yamlfile import compose
from costmeter.readings import Device

H100 = Device("GPU-0", 0, "NVIDIA H100 80GB HBM3", "", 700.0, "counter")


def read(text: str, cwd: str = "") -> tuple[Settings, list[str]]:
    """Settings of one document that is `c.yaml` in `cwd`, and every fault in it."""
    root, faults = compose(text, "c.yaml")
    layer = parse(root)
    built = build(Merged(layer.values, layer.blocks or (), layer.budgets or ()), cwd)
    return built.settings, [str(fault) for fault in (*faults, *layer.faults, *built.faults)]


class Site:
    """A folder with a repository, a home and a machine-wide folder in it, and nothing of the real machine."""

    def __init__(self, root: Path) -> None:
        self.project, self.home, self.machine = root / "project", root / "home", root / "machine"
        for folder in (self.project / ".git", self.home, self.machine):
            folder.mkdir(parents=True)
        self.environ = {"HOME": str(self.home), "XDG_CONFIG_DIRS": str(self.machine)}

    def write(self, folder: Path, text: str) -> Path:
        """A configuration file in the project or below it, in the home, or for the machine."""
        inside = {self.home: ".config/costmeter/config.yaml", self.machine: "costmeter/config.yaml"}
        path = folder / inside.get(folder, "costmeter.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def load(
        self,
        explicit: Path | None = None,
        flags: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        strict: bool = False,
    ) -> Loaded:
        """Settings as a command run in the project would have them."""
        return load_settings(
            str(explicit) if explicit else None,
            flags or {},
            {**self.environ, **(environ or {})},
            str(cwd or self.project),
            strict,
        )
