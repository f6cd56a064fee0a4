"""The processes of the platform: API, workers, pooler, printer, exporter, event log.

Rule: each program shares nothing with the others but the site file, the database
and the cache. All but the event log are started by `services.start`.
"""
