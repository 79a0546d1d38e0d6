"""What engines of servers share: how one is reached (`connection.py`), the ways to capture one (`methods.py`), and a
real one that a database is restored onto (`target.py`)."""
