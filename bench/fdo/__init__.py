"""Whole TO2 runs against Onward and against go-fdo's own server, by one load generator."""
