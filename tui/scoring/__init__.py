"""From answers to a verdict: stars, votes, checks, overlap, a judge, ranks and costs.

Everything here is a pure function of answers and events; who reads a session file or
appends to one does so outside.
"""
