"""Words that every part shares: errors, identifiers, money, time, canonical bytes.

Nothing here imports anything else of ours, does I/O or keeps state.
"""
