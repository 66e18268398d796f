"""How a stack's configuration is read: rules for values, reporting of errors, generated documents.

The models themselves are in `settings.py`.
"""
