"""Every write, one file per noun. Pages, API, workers and commands call these and nothing below them."""
