"""The three Grafana boards as code: `python -m grafana.boards` writes the JSON that costmeter ships.

For development only: nothing of the package imports it. It needs grafana-foundation-sdk, of the extra `dev`.

- A board is of the classic schema 42, which Grafana 10 to 13 load; 13 migrates it by itself.
- Everything that others link to is fixed: uids, ids of panels, names of variables.
- Run totals are raw counters (exact); fleet and spend read recorded series, so that a thousand nodes are few.
"""
