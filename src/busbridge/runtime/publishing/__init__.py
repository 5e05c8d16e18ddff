"""A message's way out: encoded, routed, sent and confirmed, or kept for the outbox of a transaction."""
