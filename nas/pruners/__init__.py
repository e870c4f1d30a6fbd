"""Who ends a trial early, one a file, each found by its name; `nas.pruners.base` tells what a file holds."""
