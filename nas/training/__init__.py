"""Training one proposal: `loop.train` yields one `Epoch` at a time and has never heard of Optuna."""
