"""Dead letters in the hands of an operator."""
