"""The process: one service or several workers, wired from the parts and ended in order."""
