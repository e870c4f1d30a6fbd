"""The way of a trial, from ask to tell. `driver.py` is the page to read first."""
