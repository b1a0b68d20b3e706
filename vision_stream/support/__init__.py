"""What a supporter needs to see, in one file and without a secret; and what to keep before a change.

parts    the texts of a bundle, each gathered by a small function
bundle   gathers them, masks every line, and writes the archive
backup   the configuration and the alerts' history, secrets included
"""
