"""How long training takes: what a step does, what that takes on a device, and how predictions have fared."""
