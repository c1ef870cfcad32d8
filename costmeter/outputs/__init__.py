"""Outputs: totals as text, pages and series."""
