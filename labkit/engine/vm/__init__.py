"""A Docker engine with a full Linux kernel of its own, in a small virtual machine (VM): one per lab.

The VM runs in a container without any capability, or directly as a process of its user. Both homes,
`container` and `process`, run the same script, `images/sources/vm/machine`.
"""
