"""Attribution: who holds which GPU."""
