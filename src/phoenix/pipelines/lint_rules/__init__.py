"""The rules of the lint, by what they look at; each yields findings and knows nothing of others.

Promises: a rule's identifier is stable; a finding names the line and the remedy. Leaves to others:
reading files, and everything that only a running collector can tell.
"""
