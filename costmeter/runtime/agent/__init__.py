"""The node's agent: who holds which GPU, what that comes to, and how it outlives a kill."""
