"""Finds out what there is: for a first plan (`init`), and what no plan protects yet (`unprotected`)."""
