"""Puts the helpers beside it on the path: reference, cases and objectives."""
