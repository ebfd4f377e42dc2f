"""Simulated FDO devices: DI, TO1 and TO2 over HTTP, against any server."""
