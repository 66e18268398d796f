"""Runs on the database's EC2 instance: fetches the desired state, validates, applies and reports it."""
