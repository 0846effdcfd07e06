"""Sample services: small apps as users write them, run as real processes by the end-to-end proofs.

The same paths on FastAPI (uvicorn), Flask and Django (gunicorn). Must not know the sidecar: what is
proved of it is proved from outside.
"""
