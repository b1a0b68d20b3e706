"""Every place where bytes from outside are read, as a function that fails on anything but an honest answer.

    targets   the functions, each with examples of what it should read
    __main__  runs one of them with atheris, which looks for new ways through the code: python -m tests.fuzz TARGET

``tests/unit/test_hostile_input.py`` runs all of them with hypothesis.
"""
