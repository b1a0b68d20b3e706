"""What stands in for cameras, LLM endpoints and a loaded detector, under its own name: for the demo, tests, benchmarks.

traffic  scenes of a road: pictures, and the truth about them
llm      an OpenAI-compatible endpoint with strict limits, latency and faults
load     detections as many cameras would send them
"""
