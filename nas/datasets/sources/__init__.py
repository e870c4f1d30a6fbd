"""One kind of source a file, each found by being here; `nas.datasets.source` tells what it holds."""
