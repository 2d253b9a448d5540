"""What travels: encoding, kinds of message, and the bounds of each."""
