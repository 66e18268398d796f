"""Names in the emulator's state folder that more than one of its services, or the sandbox, uses."""

AWS = "aws"
MACHINES = "machines"
RDS = "rds"
RDS_CA_BUNDLE = "rds-ca-bundle.pem"
PUBLIC_CA_BUNDLE = "public-ca-bundle.pem"
LOAD_BALANCING = "load-balancing"
AUTO_SCALING = "auto-scaling"
