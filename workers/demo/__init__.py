"""The demo: the main job on real parts, with one command and nothing prepared.

plan      which processes run, with which settings
run       starts them, watches them, ends them
observer  a real WebSocket client: what a browser would have been told
ledger    the topics, read back: has every task its outcome?
report    figures from both, for a person and as JSON
"""
