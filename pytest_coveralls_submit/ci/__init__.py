"""CI services: which one runs us, what it says, what it shows."""
