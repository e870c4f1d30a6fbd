"""Training memory, known before training: a traced step, a simulated allocator, a plan under a cap."""
