"""The SQL store of a service."""
