# What Jupyter's server in a place is told. The entry point names this folder in JUPYTER_CONFIG_PATH.
from labkit.workshop.place import settings

settings.configure(get_config())  # type: ignore[name-defined]  # noqa: F821  # Jupyter provides it
