"""Optuna's samplers, one a file, each found by its name; `nas.samplers.base` tells what a file holds."""
