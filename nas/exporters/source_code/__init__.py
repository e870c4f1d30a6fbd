"""A network written down as Python."""
