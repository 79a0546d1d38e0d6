"""The sample contact centre of `ccdr demo`: a schema with real schemas' corners, its data, and recordings.

`database.sql`, `schema.sql`, `data.sql` and `changes.sql` are run by psql as a superuser, in this order; the
recordings that call rows refer to are real voice files, placed and attached by `centre.py`.
"""
