"""Elastic Load Balancing: what a program declares of it, and the listeners that run for it."""
