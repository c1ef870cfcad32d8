"""A site of its own for every test of settings."""

from pathlib import Path

import pytest

from tests.config.writing import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A project, a home and a machine-wide folder, all empty."""
    return Site(tmp_path)
