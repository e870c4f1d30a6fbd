"""One file per command, or per few of one kind: a command is a few lines that call the facade."""
