"""The framework presets in front of the real frameworks, in a real browser."""
