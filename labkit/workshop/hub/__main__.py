"""Runs JupyterHub with the workshop's configuration: `python -m labkit.workshop.hub`."""

import os

from jupyterhub.app import JupyterHub

from labkit.workshop.hub import settings
from labkit.workshop.hub.configuration import configuration

if __name__ == "__main__":
    os.umask(0o077)
    JupyterHub.instance(config=configuration(settings.read(), os.environ))
    JupyterHub.launch_instance([])
