"""Exports: a store's rows and fields as other tools read them. See docs/store-format.md for each layout."""

from .dispatch import COMPRESSIONS, FORMATS, export

__all__ = ["COMPRESSIONS", "FORMATS", "export"]
