"""May it run? The kill plane, and the lease of whatever may harm.

Promises: a kill is obeyed within 5 s even when the database or the network is gone, because the
right to run is a lease that ends by itself; a restart never ends a kill. Everybody who acts asks
here. Who may kill, and the throttle in force, come with later parts.
"""
