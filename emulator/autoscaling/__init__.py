"""EC2 Auto Scaling: groups whose instances run the shipped gateway as processes on loopback."""
