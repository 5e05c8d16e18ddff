"""A delivery's way to its handler and to its end, as far as it goes without a store."""
