"""Scores of answers: stars, votes, checks, overlap, judges, ranks and costs.

Everything here is a pure function of answers and events. Session files are read and written
outside.
"""
