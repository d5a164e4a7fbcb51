"""A package, because its tests share a module."""
