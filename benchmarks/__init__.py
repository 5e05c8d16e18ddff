"""busbridge side by side with raw clients and with a peer, doing the same work on the same brokers in one run."""
