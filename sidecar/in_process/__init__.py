"""The sidecar inside the service's own process: what the middlewares for ASGI and WSGI share."""
