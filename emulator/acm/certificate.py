"""Certificates of ACM; `emulator.acm.service` issues them when their domain is validated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from emulator.acm.service import Certificates, NotIssued
from emulator.core.aws_type import AwsRequest, AwsType, given, known, text
from emulator.core.checks import emulated, matching, not_emulated, one_of
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.elb.naming import LISTENER
from emulator.route53.zones import RECORD

CERTIFICATE = "aws:acm/certificate:Certificate"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = matching(rf"(?=.{{1,253}}$)(\*\.)?({_LABEL}\.)*{_LABEL}", "is not a domain name")
_NOT_EMULATED = ("certificateAuthorityArn", "certificateBody", "privateKey", "privateKeyWo")


class Certificate(AwsType):
    """`acm.Certificate`, validated by DNS."""

    token = CERTIFICATE
    checks: ClassVar = {
        **dict.fromkeys(_NOT_EMULATED, (not_emulated("it issues certificates by DNS"),)),
        "domainName": (_DOMAIN,),
        "subjectAlternativeNames.name": (_DOMAIN,),
        "keyAlgorithm": (one_of("RSA_2048", "EC_prime256v1", "EC_secp384r1"),),
        "validationMethod": (one_of("DNS", "EMAIL"), emulated("DNS")),
    }
    output_defaults: ClassVar = {
        "keyAlgorithm": "RSA_2048",
        "notAfter": "",
        "notBefore": "",
        "pendingRenewal": False,
        "renewalEligibility": "INELIGIBLE",
        "status": "PENDING_VALIDATION",
        "type": "AMAZON_ISSUED",
        "validationEmails": [],
    }
    replace_on = (
        "certificateAuthorityArn", "domainName", "keyAlgorithm", "subjectAlternativeNames",
        "validationMethod", "validationOptions",
    )  # fmt: skip
    blockers = (LISTENER,)
    not_deletable = (
        "deleting ACM Certificate ({id}): api error ResourceInUseException: Certificate {id} is in use"
    )

    def resource_id(self, request: AwsRequest) -> Any:
        """The ARN."""
        return request.arn("acm", f"certificate/{request.uuid('certificate')}")

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        if inputs.get("domainName") is None:
            yield Failure("domainName", "one of `domain_name,private_key` must be specified")
        if inputs.get("validationMethod") is None:
            yield Failure(
                "validationMethod", "validation_method is required where a certificate is requested"
            )

    def computed(self, request: AwsRequest) -> Properties:
        """What must be in the zone."""
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
            "subjectAlternativeNames": names if names is not None else UNKNOWN,
        }

    def provision(self, request: AwsRequest) -> Properties:
        names = _names(request.inputs) or []
        algorithm = given(request.inputs, "keyAlgorithm", self.output_defaults["keyAlgorithm"])
        self.service(Certificates).request(request.id, names, algorithm)
        return {}

    def observe(self, request: AwsRequest) -> Properties | None:
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
        self.service(Certificates).delete(request.id)


class CertificateValidation(AwsType):
    """`acm.CertificateValidation`: waits for AWS to see the records; here they are there or are not."""

    token = "aws:acm/certificateValidation:CertificateValidation"
    required = ("certificateArn",)
    replace_on = ("certificateArn", "validationRecordFqdns")
    taggable = False

    def resource_id(self, request: AwsRequest) -> Any:
        """When the certificate was issued; here the ARN and that moment of the plan, which stay the same."""
        return text(request.inputs["certificateArn"], "#", request.digest("validation")[:8])

    def refuse(self, request: AwsRequest) -> None:
        """An unknown certificate; a record that is not in a zone, or has another value."""
        arn = request.inputs["certificateArn"]
        verb = f"waiting for ACM Certificate ({arn}) to be issued:"
        certificate = self.existing(
            CERTIFICATE, arn, f"{verb} api error ResourceNotFoundException: Could not find certificate {{id}}"
        )
        records = {
            _dns(record.outputs.get("fqdn", "")): [_dns(each) for each in record.inputs.get("records") or ()]
            for record in self.registry.of_type(RECORD)
            if record.inputs.get("type") == "CNAME"
        }
        expected = {
            _dns(option["resourceRecordName"]): option["resourceRecordValue"]
            for option in certificate.outputs["domainValidationOptions"]
        }
        for name, value in expected.items():
            if _dns(value) not in records.get(name, ()):
                raise Refused(
                    f"{verb} timeout while waiting for state to become 'ISSUED' (last state: "
                    f"'PENDING_VALIDATION'): no zone has the CNAME record {name} with the value {value}"
                )
        wanted = {_dns(name) for name in given(request.inputs, "validationRecordFqdns", [])}
        if wanted and (missing := sorted(set(expected) - wanted)):
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


def _dns(name: Any) -> str:
    return str(name).rstrip(".").lower()


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
