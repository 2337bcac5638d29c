"""Where collectors run: building them, starting and ending them, and what they use.

Promises: an arm that stalls or dies costs the other arm nothing; a candidate runs only while its
lease is confirmed; whatever is started here ends with the process that started it. Left to others:
what a collector is configured to do (`pipelines`), what it sends (`measurement`).
"""
