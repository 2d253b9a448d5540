"""The thin shell that joins an engine to the world: the only code that waits."""
