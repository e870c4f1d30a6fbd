"""Where trials are trained, one kind a file, found by its name; `nas.engines.base` tells what it holds."""
