"""The terminal door: translates words into service calls or API requests, and answers back.

`pipeline`, `load` and `experiment report --from` work without a server; everything else is a client
of the API and says so when no server is up. Nothing is decided here.
"""
