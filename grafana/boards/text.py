"""A board as the text of its JSON, the same each time it is built."""

import json

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.boards.frame import SCHEMA_VERSION


def text_of(made: Dashboard) -> str:
    """The board in schema 42: what the SDK leaves to the server is set here."""
    board = made.build()
    board.schema_version, board.version = SCHEMA_VERSION, 1
    return json.dumps(json.loads(JSONEncoder(sort_keys=True, indent=2).encode(board)), indent=2, sort_keys=True) + "\n"
