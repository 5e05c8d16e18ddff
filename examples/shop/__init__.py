"""An online shop of seven services: what a system built with busbridge looks like."""
