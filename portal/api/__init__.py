"""The REST side, ``/api/v1/``: it parses, calls the same services as the pages, and renders."""
