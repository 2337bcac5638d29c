"""Real processes with real names and command lines, for demos, tests and rehearsals.

Promises that a profile, a seed and a count always make the same plan; that what runs was really
started by the kernel under the name it shows; that nobody outlives the supervisor, however it ends;
and that a load is started whole or not at all. Leaves to others what is measured about it.
"""
