"""costmeter: the live cost meter of a training run.

The product is a command and a file format. A training script may tell its meter how far it is, with `step`, `phase`,
`checkpoint` and `stop_requested` of `costmeter.notify`, which are here too and loaded when they are first asked for.
"""

__version__ = "0.1.0"

__all__ = ["__version__", "checkpoint", "phase", "step", "stop_requested"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from costmeter.notify import checkpoint, phase, step, stop_requested


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'costmeter' has no attribute '{name}'")
    from costmeter import notify

    found: object = getattr(notify, name)
    globals()[name] = found
    return found
