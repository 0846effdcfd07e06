"""The core: facts in, decision out. It has no I/O, clock, asyncio, logging, YAML or aiohttp."""
