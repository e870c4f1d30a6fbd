"""Whether exported files do what the network does."""
