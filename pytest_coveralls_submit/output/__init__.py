"""What is printed, and what a CI service shows of its own."""
