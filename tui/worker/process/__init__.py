"""The worker as a process: its orders, its events, what it measures."""
