"""What happens to a message that could not be handled: the record that its dead letter carries."""

from busbridge.retry._dead_letter import PREFIX, DeadLetter, Reason, read_record, record_of, words_of

__all__ = ["PREFIX", "DeadLetter", "Reason", "read_record", "record_of", "words_of"]
