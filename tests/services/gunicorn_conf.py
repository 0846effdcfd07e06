"""How the WSGI samples are served: one worker with threads, so that held responses do not block
others.
"""

worker_class = "gthread"
workers = 1
threads = 12
control_socket_disable = True
accesslog = None
graceful_timeout = 1
