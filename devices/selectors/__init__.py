"""Every read that joins. Pages and API ask here, so that a row costs as many statements on both."""
