"""What a collector should run: the catalog of pipelines, how one is rendered, linted and compared.

Promises: the same input renders the same bytes; a rendered configuration holds no port, path or
secret of a running system (those come from the environment at start); a parameter or rule that is
not understood is refused with what would be. Leaves to others: running a collector (collectors),
counting what it emits (measurement), judging it (experiments).
"""
