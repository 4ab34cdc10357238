"""`pykka.ThreadingActor`, the actor that pykka itself ships."""

from importlib.metadata import version

from peers import thread_messages, thread_population

VERSION = version("pykka")
WORKLOADS = thread_messages.WORKLOADS | thread_population.WORKLOADS
