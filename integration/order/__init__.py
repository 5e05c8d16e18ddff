"""Order per key on real brokers, while messages fail and processes die."""
