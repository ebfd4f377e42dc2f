"""Derive, agree, seal and open. Decisions are elsewhere; so are clocks, randomness and private keys."""
