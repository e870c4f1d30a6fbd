"""Tables whose rows are images: read, understood, and turned into a listing."""
