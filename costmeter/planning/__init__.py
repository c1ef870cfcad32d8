"""What a run would cost, before it starts, and when it would cost least. Settings and the instant are arguments."""
