"""Benchmarks: every promise in numbers, measured as ratios in one run. `make bench` prints them."""
