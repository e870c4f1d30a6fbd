"""What the value of a trial is, one metric a file; `nas.metrics.base` tells what a file holds."""
