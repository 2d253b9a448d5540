"""Encrypted datagrams and streams between two nodes. Pure: bytes and time in, bytes out."""
