"""What is done with an export: opened, classified with, timed."""
