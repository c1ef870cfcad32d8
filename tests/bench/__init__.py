"""Benchmarks, and the driver they run on."""
