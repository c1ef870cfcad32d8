"""Rates: price, tariff and carbon facts read into schedules, and the book of all of them."""
