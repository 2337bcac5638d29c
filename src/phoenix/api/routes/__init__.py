"""One file per noun: bodies, handlers and examples together."""
