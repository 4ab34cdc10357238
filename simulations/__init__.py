"""Simulations of whole systems, each from many seeds: what the runtime promises must hold with every one.

`python -m simulations` runs them. From the bottom: ``account`` is what was sent and what has become of it, and says
what is wrong; ``pipeline``, ``team`` and ``pool`` are the scenarios, ``catalogue`` all of them with their faults.
"""
