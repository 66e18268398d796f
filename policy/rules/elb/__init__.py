"""Rules about Elastic Load Balancing."""
