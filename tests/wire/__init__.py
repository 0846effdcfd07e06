"""Bytes on real sockets against the real data plane, with a strict recording origin behind it."""
