"""What runs on the EC2 instance: fetch the desired state, validate, apply, reload, report."""
