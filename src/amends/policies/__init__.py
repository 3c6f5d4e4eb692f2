"""Resilience policies as pure functions: the time and the state are arguments.

Rules of this package: no clock, no randomness, no waiting; nothing imported but the standard
library's pure parts and `amends.errors` and `amends.limits`. Anyone may import it.
"""
