"""The HTTP door: bodies in, service calls, problem documents out. It decides nothing."""
