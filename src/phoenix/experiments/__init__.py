"""Baseline against candidate: what is tried, what was seen, and what follows from it.

Promises: a specification is frozen when it is created; evidence is only what the meter and the
runtime measured; every verdict carries its sentence, its scope and the numbers it rests on; every
step is a row and a ledger entry in the same transaction. Left to others: how a collector is run
(`collectors`), what it sent (`measurement`), whether anything may run at all (`safety`).
"""
