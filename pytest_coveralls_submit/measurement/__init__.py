"""What coverage says of files: its live object, or its data."""
