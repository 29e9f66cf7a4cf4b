"""One session of pytest: is it whole, nested, cut short; its hooks' work."""
