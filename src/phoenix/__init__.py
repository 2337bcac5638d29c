"""Phoenix changes a running system safely, and proves it."""

__version__ = "0.1.0"
