"""What happens to a message that could not be handled: the record that its dead letter carries, and its way back."""

from busbridge.retry._again import position_in, redrive_of, redriven_headers, run_of
from busbridge.retry._dead_letter import DeadLetter, read_record
from busbridge.retry._delay import delay, pause
from busbridge.retry._later import put_off_headers
from busbridge.retry._names import FIRST_FAILED, POSITION, PREFIX, REDRIVE, REDRIVES
from busbridge.retry._reason import BROKERS_OWN, Reason
from busbridge.retry._record import moment, record_of
from busbridge.retry._told import words_of

__all__ = [
    "BROKERS_OWN",
    "FIRST_FAILED",
    "POSITION",
    "PREFIX",
    "REDRIVE",
    "REDRIVES",
    "DeadLetter",
    "Reason",
    "delay",
    "moment",
    "pause",
    "position_in",
    "put_off_headers",
    "read_record",
    "record_of",
    "redrive_of",
    "redriven_headers",
    "run_of",
    "words_of",
]
