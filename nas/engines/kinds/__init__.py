"""One file an engine: `make(setup, devices, folder)` gives a `nas.engines.base.Engine`."""
