"""Fakes and builders for tests, shipped: what cannot run on a test machine, and fresh databases."""
