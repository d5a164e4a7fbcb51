"""The outer Docker engine: finding one, providing one, and probing what its kernel can do."""
