"""Queries, by measure: each asks the records for one part."""
