"""Names in the state folder of the emulator that more than one of its services, or the sandbox, uses."""

RDS = "rds"
RDS_CA_BUNDLE = "rds-ca-bundle.pem"
PUBLIC_CA_BUNDLE = "public-ca-bundle.pem"
LOAD_BALANCING = "load-balancing"
AUTO_SCALING = "auto-scaling"
