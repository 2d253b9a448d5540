"""How a node hears of others before it is a member: this machine's directory, and seeds."""
