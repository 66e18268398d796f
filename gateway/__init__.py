"""The application behind the load balancer: validates forwarded certificates, reaches RDS by IAM.

Shipped to its machines with `pgpasswordless`, and imports nothing else of ours.
"""
