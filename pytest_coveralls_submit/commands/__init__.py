"""The commands, a file each; ``command_line`` tells which one runs."""
