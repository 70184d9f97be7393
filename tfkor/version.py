"""The version of tfkor."""

__version__ = "0.1.0"
