"""The ledger: the durable record of a run, appended while it happens and folded when it is read."""
