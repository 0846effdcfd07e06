"""The compiled policy: from layers to a plan, from a plan and one response to a decision."""
