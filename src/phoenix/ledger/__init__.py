"""What happened: one entry for every change, refusal and side effect, in the change's transaction.

Promises that an entry exists exactly when the change it tells of was committed, and that its bytes
never change. Sequencing, signing and proofs build on the same bytes later; until then entries lie
in an append-only outbox.
"""
