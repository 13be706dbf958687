"""A run to a self-contained HTML page."""
