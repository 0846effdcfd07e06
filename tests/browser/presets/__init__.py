"""The framework presets in front of the real frameworks, in a real browser.

Must not know how anything is judged: what counts is that pages work and that the browser does not
complain.
"""
