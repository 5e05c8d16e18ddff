"""What happens to a message that could not be handled: the record that its dead letter carries."""

from busbridge.retry._dead_letter import PREFIX, DeadLetter, Reason, read_record, record_of, words_of
from busbridge.retry._delay import delay

__all__ = ["PREFIX", "DeadLetter", "Reason", "delay", "read_record", "record_of", "words_of"]
