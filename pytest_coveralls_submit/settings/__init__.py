"""The settings: the table, the sources, and the choice of the token."""
