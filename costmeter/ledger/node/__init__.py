"""The journals of nodes, in which runs share what a node's GPUs did."""
