"""The application behind the load balancer: validates forwarded certificates, logs in to RDS by IAM.

Shipped to its machines with `pgpasswordless`, `documents` and `runtime`; it imports nothing else of ours.
"""
