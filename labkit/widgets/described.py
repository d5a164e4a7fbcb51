"""Widgets as text, for those who read a notebook without running it."""

from typing import Any


class Described:
    """Mix-in for widgets whose repr says what they show. ipywidgets itself cuts it after 110 characters."""

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any] | None:
        data: dict[str, Any] | None = super()._repr_mimebundle_(**options)  # type: ignore[misc]
        return data and {**data, "text/plain": repr(self)}
