"""The only place that builds things: configuration in, running parts out.

Rule: no decision lives here. Which part fulfils which Protocol is written down
once, in `build`.
"""
