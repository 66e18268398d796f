"""An Application Load Balancer's data plane: mutual TLS as ALB does it, then HTTP to the targets."""
