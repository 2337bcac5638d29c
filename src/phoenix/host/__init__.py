"""What Phoenix asks of the machine that it runs on: processes, ports, the numbers of /proc.

Promises that a child started here ends with its parent, however the parent ends, and that a number
which the kernel does not give is None. Leaves to others what is run and what the numbers mean.
"""
