"""Everything that needs a real broker, in containers."""
