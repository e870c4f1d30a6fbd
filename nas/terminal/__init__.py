"""Everything a person sees in the shell. Rooms above print through here; nothing here imports torch."""
