"""What search spaces share, and what your own may import too."""
