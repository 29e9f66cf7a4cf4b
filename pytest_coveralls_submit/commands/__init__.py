"""The commands, a file each; ``__main__`` reads the command line."""
