"""The job: names, digests, JSON, and where it waits on disk."""
