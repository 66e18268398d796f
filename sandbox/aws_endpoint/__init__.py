"""The loopback AWS: moto behind a front door that authenticates, authorises and remembers."""

from sandbox.aws_endpoint.endpoint import AwsEndpoint

__all__ = ["AwsEndpoint"]
