"""How long who plays a recorded session waits."""

LONGEST_WAIT_S = 60.0
"""To which a wait is shortened unless a person says otherwise: who wrote the file chose its times,
and one can be of a hundred years."""
