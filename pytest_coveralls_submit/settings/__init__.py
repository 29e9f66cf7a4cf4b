"""The settings: a row each, where their texts come from, what they come to."""
