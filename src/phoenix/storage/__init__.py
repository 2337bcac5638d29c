"""PostgreSQL for every domain: connections, transactions, migrations, leases, a server of our own.

Promises that a transaction commits as a whole or not at all, that trouble with the connection is
told as Unavailable, and that an error at COMMIT is told as an unknown outcome. Leaves to the
domains what their rows mean: their SQL is in their own `queries.sql`.
"""
