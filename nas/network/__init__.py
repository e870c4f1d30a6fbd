"""What a network is and costs, before anything trains: its layers, its memory, its picture."""
