"""What it costs: each file measures one thing and prints its numbers."""
