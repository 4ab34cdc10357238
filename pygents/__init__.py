"""An actor-model runtime for AI agents.

An agent is an actor: its mailbox is its queue of turns, and it runs one turn at a time. A turn names a tool, an async
function, and the arguments to call it with. ``agent.run()`` streams the results.
"""

from pygents.actors.shutdown_report import ShutdownReport
from pygents.actors.system import ActorSystem
from pygents.agent import Agent
from pygents.context import current_agent, current_turn
from pygents.decisions import Deny, Replace, Skip
from pygents.errors import (
    NoTurnError,
    SafeExecutionError,
    TurnCancelledError,
    TurnDeniedError,
    TurnTimeoutError,
    UnregisteredAgentError,
    UnregisteredHookError,
    UnregisteredToolError,
    WrongRunMethodError,
)
from pygents.hooks import AgentHook, Hook, HookMetadata, HookType, MemoryHook, ToolHook, TurnHook, hook
from pygents.memory import Memory
from pygents.registry import AgentRegistry, HookRegistry, ToolRegistry
from pygents.steering import steering
from pygents.tool import Tool, ToolMetadata, tool
from pygents.turn import StopReason, Turn

__all__ = [
    "ActorSystem",
    "Agent",
    "AgentHook",
    "AgentRegistry",
    "Deny",
    "Hook",
    "HookMetadata",
    "HookRegistry",
    "HookType",
    "Memory",
    "MemoryHook",
    "NoTurnError",
    "Replace",
    "SafeExecutionError",
    "ShutdownReport",
    "Skip",
    "StopReason",
    "Tool",
    "ToolHook",
    "ToolMetadata",
    "ToolRegistry",
    "Turn",
    "TurnCancelledError",
    "TurnDeniedError",
    "TurnHook",
    "TurnTimeoutError",
    "UnregisteredAgentError",
    "UnregisteredHookError",
    "UnregisteredToolError",
    "WrongRunMethodError",
    "current_agent",
    "current_turn",
    "hook",
    "steering",
    "tool",
]
