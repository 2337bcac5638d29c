"""The long-running processes: what each role does, and the supervisor that keeps them up.

On one machine `phoenix up` starts the supervisor; it starts PostgreSQL and one process a role, and
restarts what ends. Elsewhere each role is started by itself with `phoenix serve ROLE`.
"""
