"""`python -m costmeter` is the `costmeter` command."""

from costmeter.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
