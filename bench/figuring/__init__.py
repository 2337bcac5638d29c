"""The parts of bench/pipelines.py: replay and count, sum up, draw the front, write it down."""
