"""Search spaces, one per file: each is found by being here. The contract is in `nas.space`."""
