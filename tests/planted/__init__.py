"""Bugs that were put in on purpose, to see that the general campaign finds them.

Each `.patch` here begins with three lines: the bug, the invariants expected to find it,
and the number of seeds within which one of them must. No scenario and no check was written
for any of these bugs. `python -m tests.planted.run` plants and hunts them all.
"""
