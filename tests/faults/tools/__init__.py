"""What makes faults that no signal makes. Linux; namespaces and disks want root.

    namespace   a network of a process's own, whose ways to some ports can be cut, in one direction or both
    disk        a small disk that fills and is freed again
    clock       a clock that steps while a process runs (libfaketime)
    limits      descriptors and memory taken away from a running process
    commands    programs of the system

Each module's ``missing()`` says why this machine cannot do it, or nothing.
"""
