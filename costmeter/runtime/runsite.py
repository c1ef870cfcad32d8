"""What a run serves while it goes on (`--listen`): its metrics, and its receipt so far as a page."""

from collections.abc import Callable

from costmeter.outputs.snapshot import Snapshot


def serve_run(
    address: tuple[str, int], current: Callable[[], Snapshot], say: Callable[[str], None], warn: Callable[[str], None]
) -> None:
    """Serve at the address, or at any free port where it is taken, and say which. Never raises OSError."""
    from costmeter.outputs.http import Site, serve

    def metrics(accept: str) -> tuple[bytes, str]:
        from costmeter.outputs.prometheus import page

        return page(current(), accept)

    def landing() -> bytes:
        from costmeter.outputs.runlanding import run_landing

        return run_landing(current())

    site, (host, port) = Site(metrics, landing, state=current), address
    try:
        served = serve([address], site)[0]
    except OSError as refusal:
        warn(f"--listen {host}:{port}: {refusal.strerror or refusal}; taking a free port instead")
        try:
            served = serve([(host, 0)], site)[0]
        except OSError as again:
            warn(f"--listen {host}: {again.strerror or again}; metrics are not served")
            return
    say(f"metrics at http://{served}/metrics")
