"""A call to the server, made in a process of its own, and what the answer means."""
