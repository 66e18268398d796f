"""Certificates of ACM; `emulator.acm` issues them when their domain is validated."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from emulator.acm.service import Certificates, NotIssued
from emulator.core.aws_type import (
    AwsRequest,
    AwsType,
    choice_problem,
    given,
    known,
    pattern_problem,
    text,
)
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.elb.naming import LISTENER
from emulator.route53.zones import RECORD

CERTIFICATE = "aws:acm/certificate:Certificate"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"(?=.{{1,253}}$)(\*\.)?({_LABEL}\.)*{_LABEL}"
_ALGORITHMS = ("RSA_2048", "EC_prime256v1", "EC_secp384r1")


class Certificate(AwsType):
    """`acm.Certificate`, validated by DNS."""

    token = CERTIFICATE
    replace_on = frozenset(
        {
            "certificateAuthorityArn",
            "domainName",
            "keyAlgorithm",
            "region",
            "subjectAlternativeNames",
            "validationMethod",
            "validationOptions",
        }
    )
    blockers = (LISTENER,)
    not_deletable = (
        "deleting ACM Certificate ({id}): api error ResourceInUseException: Certificate {id} is in use"
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """The ARN."""
        identity = uuid.UUID(request.digest("certificate")[:32], version=4)
        return request.arn("acm", f"certificate/{identity}")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Names that are domains, a method, what has no stand-in."""
        for name in ("certificateAuthorityArn", "certificateBody", "privateKey", "privateKeyWo"):
            if inputs.get(name) is not None:
                yield Failure(name, f"{name} has no stand-in in the sandbox; it issues certificates by DNS")
        if inputs.get("domainName") is None:
            yield Failure("domainName", "one of `domain_name,private_key` must be specified")
        yield from pattern_problem(inputs, "domainName", _DOMAIN, "is no domain name")
        alternatives = inputs.get("subjectAlternativeNames")
        for value in alternatives if isinstance(alternatives, Sequence) else ():
            for failure in pattern_problem({"name": value}, "name", _DOMAIN, "is no domain name"):
                yield Failure("subjectAlternativeNames", failure.reason)
        yield from choice_problem(inputs, "keyAlgorithm", _ALGORITHMS)
        yield from choice_problem(inputs, "validationMethod", ("DNS", "EMAIL"))
        method = inputs.get("validationMethod")
        if method is None:
            yield Failure(
                "validationMethod", "validation_method is required where a certificate is requested"
            )
        elif method == "EMAIL":
            yield Failure("validationMethod", "EMAIL has no stand-in in the sandbox; it has DNS")

    def computed(self, request: AwsRequest) -> Properties:
        """What must be in the zone, and what is left at its default."""
        names = _names(request.inputs)
        options: Any = UNKNOWN
        if names is not None:
            options = [
                {
                    "domainName": name,
                    "resourceRecordName": f"_{request.digest(bare)[:32]}.{bare}.",
                    "resourceRecordType": "CNAME",
                    "resourceRecordValue": f"_{request.digest(f'{bare} value')[:32]}.acm-validations.aws.",
                }
                # A wildcard is validated by its domain's record.
                for name, bare in ((name, name.removeprefix("*.")) for name in names)
            ]
        return {
            "arn": request.id,
            "domainValidationOptions": options,
            "keyAlgorithm": given(request.inputs, "keyAlgorithm", "RSA_2048"),
            "pendingRenewal": False,
            "renewalEligibility": "INELIGIBLE",
            "status": "PENDING_VALIDATION",
            "subjectAlternativeNames": names if names is not None else UNKNOWN,
            "type": "AMAZON_ISSUED",
            "validationEmails": [],
            "notAfter": "",
            "notBefore": "",
        }

    def provision(self, request: AwsRequest) -> Properties:
        """Keeps the request."""
        outputs = self.computed(request)
        certificates = self.service(Certificates)
        certificates.request(request.id, outputs["subjectAlternativeNames"], outputs["keyAlgorithm"])
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
        """Whether it is issued, and until when."""
        try:
            leaf = self.service(Certificates).issued(request.id).leaf
        except NotIssued:
            return {}
        return {
            "status": "ISSUED",
            "renewalEligibility": "ELIGIBLE",
            "notAfter": _moment(leaf.not_valid_after_utc),
            "notBefore": _moment(leaf.not_valid_before_utc),
        }

    def dispose(self, request: AwsRequest) -> None:
        """Deletes it."""
        self.service(Certificates).delete(request.id)


class CertificateValidation(AwsType):
    """`acm.CertificateValidation`: waits for AWS to see the records; here they are there or are not."""

    token = "aws:acm/certificateValidation:CertificateValidation"
    required = ("certificateArn",)
    replace_on = frozenset({"certificateArn", "region", "validationRecordFqdns"})
    defaults: ClassVar[Mapping[str, Any]] = {}
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """When the certificate was issued; here the ARN and that moment of the plan, which stay the same."""
        return text(request.inputs["certificateArn"], "#", request.digest("validation")[:8])

    def refuse(self, request: AwsRequest) -> None:
        """An unknown certificate; a record that is not in a zone, or says something else."""
        arn = request.inputs["certificateArn"]
        verb = f"waiting for ACM Certificate ({arn}) to be issued:"
        certificate = self.existing(
            CERTIFICATE, arn, f"{verb} api error ResourceNotFoundException: Could not find certificate {{id}}"
        )
        records = {
            str(record.outputs.get("fqdn", "")).rstrip(".").lower(): record
            for record in self.registry.of_type(RECORD)
            if record.inputs.get("type") == "CNAME"
        }
        for option in certificate.outputs["domainValidationOptions"]:
            name = option["resourceRecordName"].rstrip(".").lower()
            record = records.get(name)
            values = (
                [str(value).rstrip(".") for value in record.inputs.get("records") or ()] if record else []
            )
            if option["resourceRecordValue"].rstrip(".") not in values:
                raise Refused(
                    f"{verb} timeout while waiting for state to become 'ISSUED' (last state: "
                    f"'PENDING_VALIDATION'): no zone has the CNAME record {name} with the value "
                    f"{option['resourceRecordValue']}"
                )
        wanted = given(request.inputs, "validationRecordFqdns", [])
        expected = {
            option["resourceRecordName"].rstrip(".")
            for option in certificate.outputs["domainValidationOptions"]
        }
        if wanted and not expected <= {str(name).rstrip(".") for name in wanted}:
            missing = sorted(expected - {str(name).rstrip(".") for name in wanted})
            raise Refused(f"{verb} missing ACM Certificate validation records: {', '.join(missing)}")

    def provision(self, request: AwsRequest) -> Properties:
        """Issues the certificate."""
        self.service(Certificates).issue(request.inputs["certificateArn"])
        return {}


def _names(inputs: Properties) -> list[str] | None:
    domain, alternatives = inputs.get("domainName"), given(inputs, "subjectAlternativeNames", [])
    if not known(domain) or not isinstance(alternatives, Sequence) or not known(alternatives):
        return None
    return list(dict.fromkeys([str(domain), *(str(name) for name in alternatives)]))


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
