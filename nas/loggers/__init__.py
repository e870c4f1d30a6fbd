"""Who writes down what happens in a search, one a file; `nas.loggers.base` tells what a file holds."""
