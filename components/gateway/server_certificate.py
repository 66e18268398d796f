"""A certificate of ACM for a load balancer: given, or validated through DNS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import pulumi
from pulumi_aws import acm, route53

_RECORD_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class ServerCertificateArgs:
    """Arguments of `ServerCertificate`.

    Attributes:
        domain_name: The one name in the certificate.
        zone_id: Public hosted zone in which ACM finds the record that validates it; the record stays,
            because ACM looks for it again at each renewal.
        tags: Tags of every child.
    """

    domain_name: str
    zone_id: str
    tags: dict[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class ServerCertificateResources:
    """Children of `ServerCertificate`."""

    certificate: acm.Certificate
    record: route53.Record
    validation: acm.CertificateValidation


class ServerCertificate(pulumi.ComponentResource):
    """`passwordless-postgres:index:ServerCertificate`: an ECDSA P-256 certificate that ACM renews itself.

    Makes an `acm.Certificate`, the `route53.Record` that validates it, and waits with an
    `acm.CertificateValidation`.

    Attributes:
        arn: The certificate, once it is valid.
        resources: The children.
    """

    arn: pulumi.Output[str]
    resources: ServerCertificateResources

    def __init__(
        self, name: str, args: ServerCertificateArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make and validate the certificate."""
        super().__init__("passwordless-postgres:index:ServerCertificate", name, {}, opts)
        certificate = acm.Certificate(
            name,
            domain_name=args.domain_name,
            validation_method="DNS",
            key_algorithm="EC_prime256v1",
            tags={**args.tags, "Name": name},
            opts=pulumi.ResourceOptions(parent=self),
        )
        record = route53.Record(
            f"{name}-validation",
            zone_id=args.zone_id,
            name=_of_first(certificate, "resource_record_name"),
            type=_of_first(certificate, "resource_record_type"),
            ttl=_RECORD_SECONDS,
            records=[_of_first(certificate, "resource_record_value")],
            # Stacks with the same domain name share the validation record.
            allow_overwrite=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        validation = acm.CertificateValidation(
            name,
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = ServerCertificateResources(
            certificate=certificate, record=record, validation=validation
        )
        self.arn = validation.certificate_arn
        self.register_outputs({"arn": self.arn})


def _of_first(certificate: acm.Certificate, key: str) -> pulumi.Output[Any]:
    # There is one option per name, and the certificate has one name.
    return certificate.domain_validation_options.apply(lambda options: options[0][key])
