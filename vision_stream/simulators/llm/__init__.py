"""An LLM endpoint that stands in for a real one, under its own name: OpenAI's HTTP shapes, strict limits, faults.

options     what it is told: keys with limits, latency, seed
judgement   a request to a verdict: by the truth in a simulated picture, else by a hash of the text
schema      a verdict to JSON that fits the schema asked for
strict_limits   a key's limits, and the x-ratelimit headers
faults      what goes wrong on demand
arrivals    when a request reached the machine
calls       the log of every call, by key id, never the key
server      the HTTP of it all: ``async with LLMSimulator(...) as sim: sim.base_url``
"""

from vision_stream.simulators.llm.calls import Call
from vision_stream.simulators.llm.faults import Fault
from vision_stream.simulators.llm.options import Fixed, Lognormal, SimulatedKey, SimulatorOptions, parse_latency
from vision_stream.simulators.llm.server import LLMSimulator

__all__ = [
    "Call",
    "Fault",
    "Fixed",
    "LLMSimulator",
    "Lognormal",
    "SimulatedKey",
    "SimulatorOptions",
    "parse_latency",
]
