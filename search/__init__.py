"""Choosing: algorithms that propose derivations and learn from their scores. Fitness is a function handed in."""
