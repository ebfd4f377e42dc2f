"""How fast we are, beside a peer, in one run: ``make bench``. Never a timed test."""
