"""The same with a store: effects, inbox, outbox and timers in one transaction, each message once (R1)."""
