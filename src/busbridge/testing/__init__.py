"""What users test with: a context that records, and whole flows in memory or on real brokers."""

from busbridge.testing._harness import Dead, Harness, NotSettled, Parked, harness
from busbridge.testing._recording import RecordingContext

__all__ = ["Dead", "Harness", "NotSettled", "Parked", "RecordingContext", "harness"]
