"""Tariff files: electricity prices as sellers publish them, read into tariffs."""

from costmeter.config.tariff.files import read_tariffs
from costmeter.config.tariff.succession import succession

__all__ = ["read_tariffs", "succession"]
