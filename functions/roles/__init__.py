"""What runs on Lambda, inside the VPC: the first login to an RDS instance, and its databases and roles."""
