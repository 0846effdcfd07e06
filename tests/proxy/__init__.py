"""The data plane's pure rules, without sockets."""
