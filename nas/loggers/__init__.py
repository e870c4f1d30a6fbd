"""One file a logger: `make(folder)` gives a function that is told every event of `nas.events`."""
