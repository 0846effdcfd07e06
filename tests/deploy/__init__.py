"""What is shipped to run it with: each file is run, rendered or checked by the tool that will
read it.
"""
