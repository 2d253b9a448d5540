"""Runnable scenarios: each file has a claim, and the seeds that try to break it."""
