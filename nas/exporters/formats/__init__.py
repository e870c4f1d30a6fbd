"""One export format a file, each found by being here."""
