"""Tables that tasks read; those of pathfinder are written by make_pathfinder.py."""
