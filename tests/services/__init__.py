"""Sample services: small apps as users write them, run as real processes by the end-to-end proofs.

The same paths on FastAPI (uvicorn), Flask and Django (gunicorn).
"""
