"""Listeners of application load balancers, for HTTPS and with one target group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from emulator.acm.certificates import NotIssued
from emulator.acm.types import CERTIFICATE
from emulator.core.aws_type import AwsRequest, AwsType, choice_problem, given, known
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.elb.data_plane.ssl_policies import SSL_POLICIES
from emulator.elb.names import (
    LISTENER,
    LOAD_BALANCER,
    TARGET_GROUP,
    TRUST_STORE,
)
from emulator.elb.resources import Listener as DeclaredListener
from emulator.elb.service import LoadBalancers, UnknownResource

DEFAULT_SSL_POLICY = "ELBSecurityPolicy-2016-08"
"""What the API takes where none is given; it still allows TLS 1.0."""
MOST_VERIFYING = 2
"""Listeners in verify mode per load balancer; the quota is fixed."""
HEADER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        f"routingHttpRequestXAmznMtlsClientcert{part}HeaderName": f"x-amzn-mtls-clientcert{suffix}"
        for part, suffix in (
            ("", ""),
            ("Issuer", "-issuer"),
            ("Leaf", "-leaf"),
            ("SerialNumber", "-serial-number"),
            ("Subject", "-subject"),
            ("Validity", "-validity"),
        )
    }
    | {
        "routingHttpRequestXAmznTlsCipherSuiteHeaderName": "x-amzn-tls-cipher-suite",
        "routingHttpRequestXAmznTlsVersionHeaderName": "x-amzn-tls-version",
    }
)
"""Property that renames a header, and the header's own name."""
RESPONSE_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        f"routingHttpResponse{''.join(part.title() for part in header.split('-'))}HeaderValue": header
        for header in (
            "strict-transport-security",
            "content-security-policy",
            "x-content-type-options",
            "x-frame-options",
            "access-control-allow-origin",
            "access-control-allow-methods",
            "access-control-allow-headers",
            "access-control-allow-credentials",
            "access-control-expose-headers",
            "access-control-max-age",
        )
    }
)
"""Property that adds a header to every response, and the header's name."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_CREATING = "creating ELBv2 Listener"


class Listener(AwsType):
    """`lb.Listener`."""

    token = LISTENER
    required = ("defaultActions", "loadBalancerArn")
    replace_on = frozenset({"loadBalancerArn", "region"})
    hidden = frozenset(HEADER_NAMES)

    def resource_id(self, request: AwsRequest) -> Any:
        """The ARN, which begins as the load balancer's does."""
        balancer = request.inputs["loadBalancerArn"]
        if not known(balancer):
            return UNKNOWN
        return f"{str(balancer).replace(':loadbalancer/', ':listener/')}/{request.digest('listener')[:16]}"

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        """A protocol with a certificate and a policy that ELB knows, whole mutual TLS, header names."""
        yield from choice_problem(inputs, "protocol", ("HTTP", "HTTPS", "TCP", "TCP_UDP", "TLS", "UDP"))
        port = inputs.get("port")
        if port is None:
            yield Failure("port", '"port": required for Application and Network Load Balancers')
        elif known(port) and not 1 <= int(str(port)) <= 65535:
            yield Failure("port", f"expected port to be in the range (1 - 65535), got {port}")
        protocol = given(inputs, "protocol", "HTTP")
        if protocol == "HTTP":
            yield Failure("protocol", "HTTP has no stand-in in the sandbox; it has HTTPS")
        if protocol == "HTTPS" and inputs.get("certificateArn") is None:
            yield Failure("certificateArn", '"certificate_arn": required when protocol is "HTTPS"')
        policy = inputs.get("sslPolicy")
        if known(policy) and policy not in SSL_POLICIES:
            yield Failure("sslPolicy", f"SSLPolicyNotFound: SSL policy '{policy}' not found")
        yield from _authentication_problems(inputs.get("mutualAuthentication"))
        yield from _header_problems(inputs)
        yield from _action_problems(inputs["defaultActions"])

    def refuse(self, request: AwsRequest) -> None:
        """Unknown parts, a port that the load balancer has given away, too many that verify."""
        self._refuse(_CREATING, request.id, request.inputs)

    def _refuse(self, verb: str, resource_id: str, inputs: Properties) -> None:
        balancer = inputs["loadBalancerArn"]
        words = f"{verb} ({resource_id}): api error"
        self.existing(
            LOAD_BALANCER, balancer, f"{words} LoadBalancerNotFound: Load balancer '{{id}}' not found"
        )
        group = _target_group(inputs)
        self.existing(TARGET_GROUP, group, f"{words} TargetGroupNotFound: Target group '{{id}}' not found")
        self.existing(
            CERTIFICATE,
            inputs["certificateArn"],
            f"{words} CertificateNotFound: Certificate '{{id}}' not found",
        )
        others = [
            item
            for item in self.registry.of_type(self.token)
            if item.id != resource_id and item.inputs["loadBalancerArn"] == balancer
        ]
        if any(int(item.inputs["port"]) == int(inputs["port"]) for item in others):
            raise Refused(
                f"{words} DuplicateListener: A listener already exists on this port for this load balancer "
                f"'{balancer}'"
            )
        if not _verifies(inputs):
            return
        trust_store = inputs["mutualAuthentication"]["trustStoreArn"]
        self.existing(TRUST_STORE, trust_store, f"{words} TrustStoreNotFound: Trust store '{{id}}' not found")
        if sum(_verifies(item.inputs) for item in others) >= MOST_VERIFYING:
            raise Refused(
                f"{words} TooManyListeners: a load balancer may have {MOST_VERIFYING} listeners with mutual "
                "TLS in verify mode"
            )

    def computed(self, request: AwsRequest) -> Properties:
        """ARN and defaults."""
        authentication = request.inputs.get("mutualAuthentication")
        return {
            "arn": request.id,
            "mutualAuthentication": {
                "advertiseTrustStoreCaNames": "off",
                "ignoreClientCertificateExpiry": False,
                **authentication,
            }
            if isinstance(authentication, Mapping)
            else authentication or {"mode": "off"},
            "routingHttpResponseServerEnabled": given(
                request.inputs, "routingHttpResponseServerEnabled", True
            ),
            "sslPolicy": given(request.inputs, "sslPolicy", DEFAULT_SSL_POLICY),
        }

    def provision(self, request: AwsRequest) -> Properties:
        """Begins to listen."""
        outputs = self.computed(request)
        authentication = outputs["mutualAuthentication"]
        declared = DeclaredListener(
            arn=request.id,
            load_balancer_arn=request.inputs["loadBalancerArn"],
            port=int(request.inputs["port"]),
            ssl_policy=outputs["sslPolicy"],
            certificate_arn=request.inputs["certificateArn"],
            mode=authentication["mode"],
            trust_store_arn=authentication.get("trustStoreArn"),
            ignore_expiry=bool(authentication.get("ignoreClientCertificateExpiry")),
            advertise_ca_names=authentication.get("advertiseTrustStoreCaNames") == "on",
            header_names={
                original: str(request.inputs[name]).lower()
                for name, original in HEADER_NAMES.items()
                if request.inputs.get(name)
            },
            response_headers={
                header: str(request.inputs[name])
                for name, header in RESPONSE_HEADERS.items()
                if request.inputs.get(name)
            },
            target_group_arn=_target_group(request.inputs),
        )
        try:
            self._balancers().put(declared)
        except OSError as error:
            raise Refused(
                f"{_CREATING} ({request.id}): port {request.inputs['port']} cannot be had on "
                f"loopback: {error}"
            ) from error
        except NotIssued as error:
            raise Refused(
                f"{_CREATING} ({request.id}): api error UnsupportedCertificate: The certificate "
                f"'{request.inputs['certificateArn']}' must have a fully-qualified domain name, a supported "
                "signature, and a supported key size; it was never issued"
            ) from error
        except (ValueError, UnknownResource) as error:
            raise Refused(
                f"{_CREATING} ({request.id}): api error InvalidConfigurationRequest: {error}"
            ) from error
        return {}

    def renew(self, request: AwsRequest) -> Properties:
        """Listens differently; connections that there are go on."""
        self._refuse("modifying ELBv2 Listener", request.id, request.inputs)
        return self.provision(request)

    def observe(self, request: AwsRequest) -> Properties | None:
        """Whether it is declared."""
        try:
            self._balancers().get(DeclaredListener, request.id)
        except UnknownResource:
            return None
        return {}

    def dispose(self, request: AwsRequest) -> None:
        """Listens no more."""
        self._balancers().remove(DeclaredListener, request.id)

    def _balancers(self) -> LoadBalancers:
        if self.load_balancers is None:
            raise Refused("listeners need a running sandbox; this provider only previews")
        return self.load_balancers


def _authentication_problems(authentication: Any) -> Iterable[Failure]:
    if not isinstance(authentication, Mapping):
        return
    mode = authentication.get("mode")
    for name, allowed in (
        ("mode", ("off", "passthrough", "verify")),
        ("advertiseTrustStoreCaNames", ("on", "off")),
    ):
        for failure in choice_problem(authentication, name, allowed):
            yield Failure("mutualAuthentication", failure.reason)
    if mode is None:
        yield Failure("mutualAuthentication", '"mode" is required in mutual_authentication')
    if not known(mode):
        return
    if mode == "verify" and authentication.get("trustStoreArn") is None:
        yield Failure("mutualAuthentication", "trust_store_arn is required when mode is verify")
    if mode != "verify":
        for name in ("trustStoreArn", "ignoreClientCertificateExpiry", "advertiseTrustStoreCaNames"):
            if authentication.get(name):
                yield Failure(
                    "mutualAuthentication", f"{name} is allowed in mode verify only, and mode is {mode}"
                )


def _header_problems(inputs: Properties) -> Iterable[Failure]:
    used: dict[str, str] = {}
    for name in HEADER_NAMES:
        value = inputs.get(name)
        if not known(value):
            continue
        if not _HEADER_NAME.fullmatch(str(value)):
            # The name is a secret.
            yield Failure(
                name,
                f"InvalidConfigurationRequest: a header name has 1 to 40 characters of A-Z, a-z, 0-9, -"
                f" and _; this one of {len(str(value))} characters has another form",
            )
        elif str(value).lower() in used:
            yield Failure(
                name,
                f"InvalidConfigurationRequest: the same header name is given to {used[str(value).lower()]}",
            )
        used[str(value).lower()] = name


def _action_problems(actions: Any) -> Iterable[Failure]:
    if not isinstance(actions, list):
        return
    if len(actions) != 1:
        yield Failure(
            "defaultActions", f"exactly one has a stand-in in the sandbox, and there are {len(actions)}"
        )
        return
    (action,) = actions
    if not isinstance(action, Mapping):
        return
    if known(action.get("type")) and action["type"] != "forward":
        yield Failure(
            "defaultActions", f"type {action['type']!r} has no stand-in in the sandbox; it has forward"
        )
    elif action.get("targetGroupArn") is None and action.get("forward") is None:
        yield Failure("defaultActions", "one of target_group_arn and forward is required for type forward")


def _target_group(inputs: Properties) -> Any:
    (action,) = inputs["defaultActions"]
    if action.get("targetGroupArn") is not None:
        return action["targetGroupArn"]
    groups = action["forward"]["targetGroups"]
    if len(groups) != 1:
        raise Refused(f"{_CREATING}: {len(groups)} target groups have no stand-in in the sandbox; one has")
    return groups[0]["arn"]


def _verifies(inputs: Properties) -> bool:
    return (inputs.get("mutualAuthentication") or {}).get("mode") == "verify"
