"""Sessions, events, the store and ``handle``: the only writer of what is under way."""
