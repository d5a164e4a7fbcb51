"""Bundles: one file with everything that a host without internet needs to run the lab.

The file is a plain tar: the project's own files under `swarm-lab/`, `manifest.json`, `wheels/*.whl`, and
`images.tar.gz`. The modules `manifest`, `verify`, and `__main__` need only Python, because they run before
labkit is installed.
"""
