"""Small real sites, each with one rule: the truth is found in Chromium, and what the gate says
is held against it.
"""
