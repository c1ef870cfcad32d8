"""Runtime: the sampling loop, the child, and the one place where everything is wired together."""
