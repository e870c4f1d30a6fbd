"""What this computer is: its devices and their memory, its file systems, the versions it runs."""
