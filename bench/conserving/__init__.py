"""The parts of bench/conservation.py: which pipelines, what they are fed, what is asked."""
