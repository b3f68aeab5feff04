"""Loops that must be compiled: numba, cached beside the source. Imported where they are needed.

Whoever calls one for the first time on a machine waits for the compiler; tasks do so when they make
their first batch, ahead of any training step.
"""
