"""Writes the boards where the package ships them: `python -m grafana.boards`, or `make boards`."""

from pathlib import Path

from grafana.boards import fleet, run, spend
from grafana.boards.text import text_of

FOLDER = Path(__file__).parents[2] / "costmeter" / "outputs" / "export" / "files" / "grafana" / "dashboards"
BOARDS = {"run": run.build, "fleet": fleet.build, "spend": spend.build}


def main() -> None:
    """Build and write all three."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, build in BOARDS.items():
        FOLDER.joinpath(f"{name}.json").write_text(text_of(build()), encoding="utf-8")


if __name__ == "__main__":
    main()
