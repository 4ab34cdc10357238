"""Everybody who is measured, one module each.

A peer's module has `VERSION`, and `WORKLOADS`: for each name in `catalogue.WORKLOADS` that it can do, a function that
takes the number of operations and returns a sample. The other modules are parts of these, or shared by them.
"""
