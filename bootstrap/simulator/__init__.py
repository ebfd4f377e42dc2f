"""Simulated devices: whole device lives against any server, for trying out, for tests and for load.

Run them with ``python -m bootstrap.simulator``; see docs/reference/simulator.md.
"""
