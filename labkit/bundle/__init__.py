"""One file with all that a machine without network needs to run the lab: `labkit bundle save`, `bundle load`.

The file is a plain tar: the project's own files below `swarm-lab/`, `manifest.json`, `wheels/*.whl`,
`images.tar.gz`. `manifest`, `verify` and `__main__` need nothing but Python: they run before labkit is
installed.
"""
