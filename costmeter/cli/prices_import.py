"""`costmeter prices import`: a record of the OpenEI Utility Rate Database as a tariff file."""

import argparse
import os
import sys

from costmeter.cli.lines import write_data
from costmeter.errors import CostmeterError, UsageError

_MAX_BYTES = 8_000_000


def run(args: argparse.Namespace) -> int:
    """Print or write the tariff; 1 when the record cannot be carried, with every reason on stderr."""
    from costmeter.cli.wholefile import write
    from costmeter.config.textfile import text
    from costmeter.config.urdb import from_urdb
    from costmeter.config.zones import nearest, zone

    if zone(args.timezone) is None:
        raise UsageError(f'no time zone "{args.timezone}"{nearest(args.timezone)}', "--timezone America/Los_Angeles")
    if args.output is not None and os.path.lexists(args.output):
        raise CostmeterError(f"{args.output} is there already and was left as it is", "-o another.yaml")
    content, faults = text(args.file, args.file, _MAX_BYTES)
    tariff = None
    if not faults:
        tariff, faults = from_urdb(content, args.file, args.timezone, args.label)
    for fault in faults:
        print(fault, file=sys.stderr)
    if tariff is None:
        return 1
    if args.output is None:
        write_data(tariff)
    else:
        write(args.output, tariff, args.output, "-o /another/folder/tariff.yaml")
        print(f"wrote {args.output}. Check it: costmeter prices check {args.output}")
    return 0
