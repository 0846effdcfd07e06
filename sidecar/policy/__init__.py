"""The core: facts in, decision out. Must not know I/O, clocks, asyncio, logging, YAML or
aiohttp.
"""
