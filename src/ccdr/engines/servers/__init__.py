"""What engines of servers share: how one is reached and named (`connection.py`), the ways to capture one
(`methods.py`), what a manifest tells of it (`inventory.py`), the sandbox's own (`sandbox.py`), a real one that a
database is restored onto (`target.py`), and a new one (`new_server.py`).
"""
