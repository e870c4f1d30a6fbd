"""One file a sampler: `make(seed)` gives an `optuna.samplers.BaseSampler`."""

STARTUP_TRIALS = 10
"""Trials that are drawn at random before a sampler learns."""
