"""The simulated NVML driver: stands where libnvidia-ml.so stands, below pynvml, and does what a scenario says."""

from costmeter.sources.simulated.library import SimulatedLibrary
from costmeter.sources.simulated.opening import bundled_scenarios, open_library

__all__ = ["SimulatedLibrary", "bundled_scenarios", "open_library"]
