"""The shop as processes of their own, which are killed at random."""
