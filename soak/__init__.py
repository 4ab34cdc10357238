"""A soak: a crowd of supervised agents and actors fails in every way for a while, and nothing may grow or be lost.

`python -m soak` runs it. From the bottom: ``deeds`` is what a message may ask for, ``books`` the account of every
message, ``crew`` the agents and actors, ``teams`` the tree they live in, ``load`` who sends to them and who ends them,
``gauge`` what the process holds, ``verdict`` what is wrong, ``shift`` the whole, and ``report`` what people read.
"""
