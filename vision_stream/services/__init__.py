"""The three streaming services on one host without a container engine: started, watched and ended by a supervisor.

plan        which services there are, with which ports and environment; pure
restarts    when a service that ended runs again; pure
process     is the process that wrote a PID file still that process?
state       what the supervisor knows, in a file that others read
rotation    a log that is bounded while it is written
supervisor  the process that owns the services, their logs and their PID files
control     start, stop and status, as the scripts call them
"""
