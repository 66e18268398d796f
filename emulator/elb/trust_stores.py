"""Trust stores and their revocation lists, read from S3 once: when they are made or changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.core.aws_type import AwsType, Resource, text
from emulator.core.properties import UNKNOWN
from emulator.core.registry import Record
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.core.service_errors import service_call
from emulator.elb.data_plane.configuration import ConfigurationRefused
from emulator.elb.data_plane.trust_store import MOST_REVOCATION_LISTS, trust_store
from emulator.elb.names import (
    LISTENER,
    REVOCATION,
    TRUST_STORE,
    arn_suffix,
    balancing_arn,
    chosen_name,
    name_problem,
)
from emulator.elb.resources import TrustStore as DeclaredTrustStore
from emulator.elb.service import LoadBalancers, UnknownResource

MOST_TRUST_STORES = 20
"""Per account and region."""


class _FromS3(AwsType):
    """Reads an object once."""

    def _content(self, doing: str, region: str, bucket: str, key: str, version: str | None) -> str:
        options = {"VersionId": version} if version else {}
        with service_call(doing):
            answer = self.endpoint.client("s3", region).get_object(Bucket=bucket, Key=key, **options)
        try:
            return answer["Body"].read().decode()
        except UnicodeDecodeError:
            raise Refused(f"{doing}: s3://{bucket}/{key} is no PEM") from None

    def _balancers(self) -> LoadBalancers:
        if self.load_balancers is None:
            raise Refused("trust stores need a running sandbox; this provider only previews")
        return self.load_balancers


class TrustStore(_FromS3):
    """`lb.TrustStore`."""

    token = TRUST_STORE
    required = ("caCertificatesBundleS3Bucket", "caCertificatesBundleS3Key")
    name_property = "name"
    name_maximum = 32
    replace_on = frozenset({"name", "namePrefix", "region"})
    blockers = (LISTENER,)
    not_deletable = (
        "deleting ELBv2 Trust Store ({id}): api error TrustStoreInUse: Trust store '{id}' is currently in "
        "use by a listener"
    )

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """The ARN."""
        return balancing_arn(resource, "truststore", chosen_name(resource, inputs))

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """Form of the name."""
        yield from name_problem(inputs)

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """A name that is taken, too many."""
        name = chosen_name(resource, inputs)
        others = [record for record in self.registry.of_type(self.token) if record.id != resource_id]
        if any(other.outputs.get("name", other.inputs.get("name")) == name for other in others):
            raise Refused(
                f"creating ELBv2 Trust Store ({name}): api error DuplicateTrustStoreName: A trust store with "
                f"the same name '{name}' exists"
            )
        if len(others) >= MOST_TRUST_STORES:
            raise Refused(
                f"creating ELBv2 Trust Store ({name}): api error TooManyTrustStores: {MOST_TRUST_STORES} "
                "trust stores are allowed"
            )

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """ARNs and name."""
        return {
            "arn": resource_id,
            "arnSuffix": arn_suffix(resource_id, f"{resource.region}:123456789012:"),
            "name": chosen_name(resource, inputs),
        }

    def provision(self, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Reads the bundle, which must be one that ELB takes."""
        doing = f"creating ELBv2 Trust Store ({chosen_name(resource, inputs)})"
        bundle = self._content(
            doing,
            resource.region,
            inputs["caCertificatesBundleS3Bucket"],
            inputs["caCertificatesBundleS3Key"],
            inputs.get("caCertificatesBundleS3ObjectVersion"),
        )
        try:
            trust_store(bundle)
            self._balancers().change_bundle(resource_id, bundle)
        except ConfigurationRefused as error:
            raise Refused(f"{doing}: api error InvalidCaCertificatesBundle: {error}") from error
        return {}

    def renew(
        self,
        resource: Resource,
        resource_id: str,
        old_inputs: Properties,
        inputs: Properties,
        outputs: Properties,
    ) -> Properties:
        """Another bundle, or another version of it; connections that there are go on."""
        del old_inputs, outputs
        return self.provision(resource, resource_id, inputs)

    def observe(self, resource_id: str, record: Record) -> Properties | None:
        """Whether it is there."""
        del record
        try:
            self._balancers().get(DeclaredTrustStore, resource_id)
        except UnknownResource:
            return None
        return {}

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Deletes it."""
        del inputs, outputs
        self._balancers().remove(DeclaredTrustStore, resource_id)


class TrustStoreRevocation(_FromS3):
    """`lb.TrustStoreRevocation`: every change makes a new one, with an id that was never used."""

    token = REVOCATION
    required = ("revocationsS3Bucket", "revocationsS3Key", "trustStoreArn")
    replace_on = frozenset(
        {"region", "revocationsS3Bucket", "revocationsS3Key", "revocationsS3ObjectVersion", "trustStoreArn"}
    )
    defaults: ClassVar[Mapping[str, Any]] = {}
    taggable = False

    def resource_id(self, resource: Resource, inputs: Properties) -> Any:
        """`<ARN of the trust store>,<id>`; a preview cannot know the id."""
        arn = inputs["trustStoreArn"]
        if resource.call.preview:
            return UNKNOWN
        return text(arn, ",", self._number(resource, arn))

    def _number(self, resource: Resource, arn: str) -> int:
        pending = self.registry.unconfirmed(resource.call.urn)
        if pending is not None and pending.id.startswith(f"{arn},"):
            return int(pending.id.rpartition(",")[2])
        try:
            return self._balancers().reserve_revocation_id(arn)
        except UnknownResource:
            return 1

    def refuse(self, resource: Resource, resource_id: str, inputs: Properties) -> None:
        """An unknown trust store, too many lists."""
        del resource
        arn = inputs["trustStoreArn"]
        doing = f"creating ELBv2 Trust Store Revocation ({resource_id}): api error"
        self.existing(TRUST_STORE, arn, f"{doing} TrustStoreNotFound: Trust store '{{id}}' not found")
        others = [
            record
            for record in self.registry.of_type(self.token)
            if record.id != resource_id and record.inputs["trustStoreArn"] == arn
        ]
        if len(others) >= MOST_REVOCATION_LISTS:
            raise Refused(
                f"{doing} TooManyTrustStoreRevocationEntries: {MOST_REVOCATION_LISTS} lists are allowed"
            )

    def computed(self, resource: Resource, resource_id: Any, inputs: Properties) -> Properties:
        """The id."""
        del resource, inputs
        if resource_id is UNKNOWN:
            return {"revocationId": UNKNOWN}
        return {"revocationId": int(str(resource_id).rpartition(",")[2])}

    def provision(self, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Reads the list, which must be PEM and signed by one of the authorities if it is known."""
        doing = f"creating ELBv2 Trust Store Revocation ({resource_id})"
        content = self._content(
            doing,
            resource.region,
            inputs["revocationsS3Bucket"],
            inputs["revocationsS3Key"],
            inputs.get("revocationsS3ObjectVersion"),
        )
        arn, _, number = resource_id.rpartition(",")
        try:
            trust_store(self._balancers().get(DeclaredTrustStore, arn).bundle, (content,))
            self._balancers().put_revocations(arn, int(number), content)
        except ConfigurationRefused as error:
            raise Refused(f"{doing}: api error InvalidRevocationContent: {error}") from error
        return {}

    def observe(self, resource_id: str, record: Record) -> Properties | None:
        """Whether it is there."""
        del record
        arn, _, number = resource_id.rpartition(",")
        try:
            found = self._balancers().get(DeclaredTrustStore, arn)
        except UnknownResource:
            return None
        return {} if int(number) in found.revocations else None

    def dispose(self, resource_id: str, inputs: Properties, outputs: Properties) -> None:
        """Takes it out of the trust store."""
        del inputs, outputs
        arn, _, number = resource_id.rpartition(",")
        self._balancers().remove_revocations(arn, int(number))
