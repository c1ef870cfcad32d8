"""The sampling loop, the child, and what holds them together."""
