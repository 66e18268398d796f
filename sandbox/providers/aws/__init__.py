"""The stand-in for pulumi-aws, on the generic gRPC base of `sandbox.providers`."""

from sandbox.providers.aws.provider import AwsProvider

__all__ = ["AwsProvider"]
