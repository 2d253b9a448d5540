"""Calls: whom they go to, what was answered, what runs here. Pure."""
