"""The smallest program that uses the child's modules as `costmeter run` does: `wrapper_driver.py [--forward P] -- CMD`.

It meters nothing. A thread sleeps beside the child, as the metering threads do, so that signals meet more than one.
"""

import os
import sys
import threading

sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from costmeter.runtime.child import (  # noqa: E402  # the package is found by the line above, installed or not
    SpawnFailed,
    die_like,
    enclosing_wrapper,
    exec_through,
    spawn,
)


def main(arguments: list[str]) -> None:
    """Run the command after `--`, and end as it ends."""
    split = arguments.index("--")
    options, argv = arguments[:split], arguments[split + 1 :]
    forward = options[1] if options else "auto"
    environ = dict(os.environ)
    try:
        if enclosing_wrapper(environ) is not None:
            exec_through(argv, environ)
        try:
            child = spawn(argv, environ)
        except OSError as fault:
            sys.stderr.write(f"costmeter: warning: {fault.strerror}. The job runs unmetered.\n")
            exec_through(argv, environ)
    except SpawnFailed as failed:
        sys.stderr.write(f"{failed.message}\n")
        sys.exit(failed.exit_code)
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    status, _ = child.wait(forward)
    die_like(status)


if __name__ == "__main__":
    main(sys.argv[1:])
