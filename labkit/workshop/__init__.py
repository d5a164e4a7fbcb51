"""A class on one host: JupyterHub, a place for each learner, and a page for the instructor."""
