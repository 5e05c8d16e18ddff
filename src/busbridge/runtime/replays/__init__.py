"""A stream read again: by a reader without a subscription, or by the handlers of one."""
