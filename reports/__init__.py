"""Frames in; tables, figures and pages out. Reads `sweeps.results` only."""
