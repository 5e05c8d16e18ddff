"""From streams to streams in the transactions of a broker."""
