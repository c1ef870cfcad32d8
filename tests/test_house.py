"""The house and its laws (CONTRIBUTING.md: imports point down only, one room per effect), read off the sources.

The rules look at every import there is: at the top of a module, inside a function, under TYPE_CHECKING, and
`importlib.import_module` with a literal name. `Rules` take the folder that holds a package, so that the last tests can
show them a house that breaks each law.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "costmeter"
MAX_LINES = 350

# A room may import its own and every floor below; rooms on one floor are siblings and do not meet.
FLOORS = [
    {"__init__", "units", "errors", "clock", "readings", "notify"},
    {"meter"},
    {"rates"},
    {"config"},
    {"sources", "attribution", "ledger", "feeds", "planning"},
    {"outputs"},
    {"runtime"},
    {"cli"},
    {"__main__"},
]
GROUND = FLOORS[0]

# The doorways: who may import a module that has an effect or a cost. A path ends in "/" for a room, "*" for a prefix.
DOORWAYS = {
    "pynvml": ["sources/"],
    "psutil": ["sources/host*", "attribution/"],
    "yaml": ["config/yamlfile.py"],
    "prometheus_client": [],  # it judges the page in tests; the page is written without it
    "grpc": ["attribution/kubelet.py"],
    "google": ["attribution/kubelet.py"],
    "argparse": ["cli/"],
    "urllib": ["feeds/"],
    "time": [
        "clock.py",
        # What runs before the job does loads no room it can do without: the clock's would cost the launch milliseconds.
        "cli/run.py",  # the run's name begins with the time, and the job's environment holds the name
        "runtime/child.py",  # stamps the spawn and the reap
        "notify.py",  # runs in the job's process, which pays for what it loads
    ],
}
EFFECTS_KEPT_FROM_METER = {
    "asyncio", "ctypes", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "selectors", "shutil",
    "signal", "socket", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
HEAVY = {"pynvml", "yaml", "prometheus_client", "psutil", "grpc"}


@dataclass(frozen=True, slots=True)
class Module:
    """One source file of the package and its syntax tree."""

    path: Path
    tree: ast.Module
    lines: int

    @property
    def room(self) -> str:
        """The first part of the path: `meter` for meter/slot.py, `clock` for clock.py."""
        return self.path.parts[0].removesuffix(".py")

    def at(self, node: ast.expr | ast.stmt) -> str:
        return f"{PACKAGE}/{self.path}:{node.lineno}"


def modules(root: Path) -> list[Module]:
    """Every module of the package below `root`, with paths relative to the package."""
    package = root / PACKAGE
    found = []
    for file in sorted(package.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        found.append(Module(file.relative_to(package), ast.parse(text), text.count("\n")))
    return found


def imports(module: Module) -> Iterator[tuple[str, str]]:
    """Place and full dotted name of everything a module imports; `from a import b` gives `a.b`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((module.at(node), alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _origin(module, node)
            yield from ((module.at(node), f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _name(node.func) in {"import_module", "__import__"} and node.args:
            target = node.args[0]
            if isinstance(target, ast.Constant) and isinstance(target.value, str):
                yield module.at(node), target.value


def _origin(module: Module, node: ast.ImportFrom) -> str:
    """The absolute name of the module after `from`, with leading dots resolved."""
    if node.level == 0:
        return node.module or ""
    package = [PACKAGE, *module.path.parent.parts]
    return ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])


def _name(node: ast.expr) -> str:
    """The last name of `a.b.c`, or an empty text."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def calls(module: Module) -> Iterator[tuple[str, ast.expr]]:
    """Place and function of every call in a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield module.at(node), node.func


def _room_of(name: str, rooms: set[str]) -> str | None:
    """The room that a dotted name of ours leads to; the package's own names are `__init__`; None for others'."""
    first, _, rest = name.partition(".")
    if first != PACKAGE:
        return None
    room = rest.split(".")[0]
    return room if room in rooms else "__init__"


def _may_enter(room: str, target: str) -> bool:
    if room == target or target in GROUND:
        return True
    if room == "integrations":
        return False  # they run inside the job's process: the ground floor is all they get
    below: set[str] = set()
    for floor in FLOORS:
        if room in floor:
            return target in below
        below |= floor
    return False


def _matches(path: Path, doorway: str) -> bool:
    text = path.as_posix()
    if doorway.endswith("*"):
        return text.startswith(doorway[:-1])
    return text.startswith(doorway) if doorway.endswith("/") else text == doorway


def upward_imports(root: Path) -> list[str]:
    """Imports that do not point down."""
    house = modules(root)
    rooms = {module.room for module in house}
    return [
        f"{place}: {module.room} imports {name}; imports point down only, so move what is shared to a lower floor"
        for module in house
        for place, name in imports(module)
        if (target := _room_of(name, rooms)) is not None and not _may_enter(module.room, target)
    ]


def rooms_without_floor(root: Path) -> list[str]:
    """Files and folders of the package that the plan of the house does not know."""
    known = {"integrations"}.union(*FLOORS)
    return [
        f"{PACKAGE}/{room}: not in the plan of the house; put it in a room, or give it a floor in FLOORS"
        for room in sorted({module.room for module in modules(root)} - known)
    ]


def wrong_doorways(root: Path, package: str) -> list[str]:
    """Imports of `package` outside the rooms that own its effect."""
    doors = DOORWAYS[package]
    return [
        f"{place}: only {' and '.join(doors)} may import {package}; ask that room for what you need"
        for module in modules(root)
        for place, name in imports(module)
        if name.split(".")[0] == package and not any(_matches(module.path, door) for door in doors)
    ]


def stray_calls(root: Path, is_stray: Callable[[ast.expr], bool], allowed: list[str], advice: str) -> list[str]:
    """Calls that `is_stray` outside the paths where they belong."""
    return [
        f"{place}: {ast.unparse(function)}(): {advice}"
        for module in modules(root)
        if not any(_matches(module.path, door) for door in allowed)
        for place, function in calls(module)
        if is_stray(function)
    ]


def stray_prints(root: Path) -> list[str]:
    def is_print(function: ast.expr) -> bool:
        return isinstance(function, ast.Name) and function.id == "print"

    return stray_calls(root, is_print, ["cli/"], "return text and let cli/ print it")


def stray_clocks(root: Path) -> list[str]:
    def reads_the_wall(function: ast.expr) -> bool:
        return (
            isinstance(function, ast.Attribute)
            and function.attr in {"now", "utcnow", "today"}
            and _name(function.value) in {"datetime", "date"}
        )

    return stray_calls(root, reads_the_wall, ["clock.py"], "take a Clock, or the instant itself, as an argument")


def effects_in_meter(root: Path) -> list[str]:
    """I/O, clocks, threads and logs in the room of pure arithmetic."""
    advice = "meter/ is pure arithmetic: pass values in and return values"
    imported = [
        f"{place}: imports {name}; {advice}"
        for module in modules(root)
        if module.room == "meter"
        for place, name in imports(module)
        if name.split(".")[0] in EFFECTS_KEPT_FROM_METER
    ]
    others = [f"{room}/" for room in {m.room for m in modules(root)} - {"meter"}]
    files = [f"{m.path}" for m in modules(root) if m.room != "meter"]
    return imported + stray_calls(root, lambda function: _name(function) == "open", [*others, *files], advice)


def long_files(root: Path) -> list[str]:
    return [
        f"{PACKAGE}/{module.path}: {module.lines} lines; beyond {MAX_LINES} it holds two subjects, split it"
        for module in modules(root)
        if module.lines > MAX_LINES
    ]


def undocumented_modules(root: Path) -> list[str]:
    return [
        f"{PACKAGE}/{module.path}: begin with a docstring that says what the module is for"
        for module in modules(root)
        if ast.get_docstring(module.tree) is None
    ]


def assert_none(faults: list[str]) -> None:
    assert not faults, "\n" + "\n".join(faults)


def test_imports_point_down() -> None:
    """No module imports a floor above its own, or a sibling of its floor."""
    assert_none(upward_imports(ROOT))


def test_every_room_has_a_floor() -> None:
    """Every file and folder of the package stands in the plan of the house."""
    assert_none(rooms_without_floor(ROOT))


@pytest.mark.parametrize("package", DOORWAYS)
def test_each_effect_has_one_room(package: str) -> None:
    """A module with an effect is imported only in the room that owns the effect."""
    assert_none(wrong_doorways(ROOT, package))


def test_only_the_command_line_prints() -> None:
    """`print` is called in cli/ and nowhere else."""
    assert_none(stray_prints(ROOT))


def test_only_the_clock_asks_the_time() -> None:
    """`datetime.now` and its like are called in clock.py and nowhere else."""
    assert_none(stray_clocks(ROOT))


def test_the_meter_is_pure() -> None:
    """meter/ opens no file, starts no thread, logs nothing and asks no clock."""
    assert_none(effects_in_meter(ROOT))


def test_files_hold_one_subject() -> None:
    """No file of the package is longer than the limit."""
    assert_none(long_files(ROOT))


def test_modules_say_what_they_are_for() -> None:
    """Every module of the package opens with a docstring."""
    assert_none(undocumented_modules(ROOT))


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_question_loads_no_library(option: str) -> None:
    """`costmeter --help` and `--version` answer without loading a driver, parser or metrics library."""
    argv = [sys.executable, "-X", "importtime", "-m", PACKAGE, option]
    answer = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)

    loaded = {line.rsplit("|", 1)[1].strip() for line in answer.stderr.splitlines() if line.startswith("import time:")}

    assert answer.stdout
    assert f"{PACKAGE}.cli.main" in loaded
    assert_none([f"{option} loads {name}; import it where it is used" for name in sorted(HEAVY & loaded)])


@pytest.mark.parametrize(
    "module", ["rates.catalog", "rates.grid", "meter.calendar", "meter.tariff", "feeds", "planning"]
)
def test_a_run_loads_no_price_list_it_does_not_use(module: str) -> None:
    """Beside a job that has just started, the meter loads catalogue, zones and calendars only for settings that ask."""
    code = f"import sys, costmeter.runtime.assembly; sys.exit('{PACKAGE}.{module}' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], timeout=60, cwd=ROOT).returncode


IMPORT_ALL = """
import importlib, json, os, signal, sys, threading
package, names = sys.argv[1], sys.argv[2:]
importlib.import_module(package)
seen = []

def watch(event, args):
    if event == "open":
        path, mode, flags = args
        path = path if isinstance(path, int) else os.fsdecode(path)
        writes = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or str(path).endswith((".yaml", ".csv", ".json", ".toml")):
            seen.append(f"opens {path}")
    elif event.startswith(("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.mkdir", "os.putenv")):
        seen.append(event)
    elif event == "ctypes.dlopen" and "nvidia" in str(args[0]):
        seen.append(f"loads {args[0]}")

def handlers():
    return {number: signal.getsignal(number) for number in signal.valid_signals()}

threading.Thread.start = lambda thread: seen.append(f"starts {thread.name}")
before = handlers()
sys.addaudithook(watch)
done = []
for name in names:
    importlib.import_module(name)
    done += [f"{name}: {what}" for what in seen]
    seen.clear()
if handlers() != before:
    done.append("some module changes a signal handler")
print(json.dumps(done))
"""


def _dotted(module: Module) -> str:
    parts = [PACKAGE, *module.path.with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_nothing_happens_on_import() -> None:
    """Importing every module of the package opens no file or socket, and starts no thread, process or driver."""
    names = [_dotted(module) for module in modules(ROOT) if module.path.name != "__main__.py"]
    argv = [sys.executable, "-B", "-c", IMPORT_ALL, PACKAGE, *names]
    answer = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)

    assert answer.returncode == 0, answer.stderr
    assert_none([f"{what}; do it when called, not on import" for what in json.loads(answer.stdout)])


def _house(root: Path, files: dict[str, str]) -> Path:
    """A package below `root` with these files in it."""
    for path, text in {"__init__.py": '"""A house."""\n', **files}.items():
        file = root / PACKAGE / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("path", "source"),
    [
        pytest.param("meter/slot.py", "from costmeter.rates import prices", id="upwards"),
        pytest.param("meter/slot.py", "from costmeter import rates", id="upwards-as-a-name"),
        pytest.param("meter/slot.py", "from ..rates.prices import Price", id="upwards-relative"),
        pytest.param("meter/slot.py", "def f():\n    import costmeter.cli.main", id="inside-a-function"),
        pytest.param("sources/nvml.py", "from costmeter.ledger import record", id="sibling"),
        pytest.param("outputs/text.py", "if TYPE_CHECKING:\n    from costmeter.runtime import x", id="type-checking"),
        pytest.param("units.py", "from costmeter.meter import slot", id="ground-upwards"),
        pytest.param("runtime/a.py", "importlib.import_module('costmeter.cli.main')", id="by-text"),
        pytest.param("integrations/keras.py", "from costmeter.meter import slot", id="integration"),
    ],
)
def test_an_upward_import_is_caught(path: str, source: str, tmp_path: Path) -> None:
    """The import law sees every form of an import that does not point down."""
    rooms = {f"{room}/__init__.py": "" for room in ("rates", "ledger", "runtime", "cli", "meter")}

    assert len(upward_imports(_house(tmp_path, {**rooms, path: source}))) == 1


def test_a_downward_import_is_allowed(tmp_path: Path) -> None:
    """The import law lets a room use itself, the ground floor and the floors below."""
    source = "from costmeter import __version__, units\nfrom costmeter.meter import slot\nfrom . import record\n"

    assert upward_imports(_house(tmp_path, {"units.py": "", "meter/slot.py": "", "ledger/journal.py": source})) == []


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        pytest.param(rooms_without_floor, "helpers.py", "", id="unknown-room"),
        pytest.param(stray_prints, "outputs/text.py", "print(1)", id="print"),
        pytest.param(stray_clocks, "runtime/a.py", "import datetime\ndatetime.datetime.now()", id="clock"),
        pytest.param(effects_in_meter, "meter/slot.py", "import os", id="meter-imports"),
        pytest.param(effects_in_meter, "meter/slot.py", "open('x')", id="meter-opens"),
        pytest.param(long_files, "meter/slot.py", "\n" * (MAX_LINES + 1), id="long"),
        pytest.param(undocumented_modules, "meter/slot.py", "x = 1\n", id="no-docstring"),
    ],
)
def test_a_broken_law_is_caught(rule: Callable[[Path], list[str]], path: str, source: str, tmp_path: Path) -> None:
    """Each law finds the one place that breaks it."""
    assert len(rule(_house(tmp_path, {path: source}))) == 1


@pytest.mark.parametrize(
    ("package", "path"),
    [
        pytest.param("pynvml", "runtime/a.py", id="driver"),
        pytest.param("psutil", "sources/nvml.py", id="process-facts"),
        pytest.param("yaml", "config/settings.py", id="yaml"),
        pytest.param("prometheus_client", "cli/run.py", id="metrics"),
        pytest.param("time", "ledger/journal.py", id="clock"),
    ],
)
def test_a_wrong_doorway_is_caught(package: str, path: str, tmp_path: Path) -> None:
    """An import of a library outside its room is found, with a submodule and inside a function too."""
    house = _house(tmp_path, {path: f"import {package}.sub\ndef f():\n    from {package} import x\n"})

    assert len(wrong_doorways(house, package)) == 2


def test_importing_with_an_effect_is_caught(tmp_path: Path) -> None:
    """A module that writes a file and starts a thread when imported is found."""
    source = f"import threading\nopen({str(tmp_path / 'x')!r}, 'w').close()\nthreading.Thread(name='t').start()\n"
    house = _house(tmp_path, {"noisy.py": source})
    argv = [sys.executable, "-B", "-c", IMPORT_ALL, PACKAGE, f"{PACKAGE}.noisy"]
    environment = {**os.environ, "PYTHONPATH": str(house)}
    answer = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, cwd=house, env=environment)

    assert f"{PACKAGE}.noisy: opens {tmp_path / 'x'}" in answer.stdout
    assert f"{PACKAGE}.noisy: starts t" in answer.stdout
