"""Calls to the server in a process of their own, and the meaning of its answers."""
