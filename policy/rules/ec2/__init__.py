"""Rules about EC2: instances, networks, security groups."""
