"""The meter's arithmetic: readings in, totals out. No I/O, no clock, no globals."""
