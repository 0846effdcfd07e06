"""Small sites on real frameworks, as they behave by default: a home page, a login with CSRF, a
download, an API.

They know nothing of the sidecar, of policies or of the browser.
"""
