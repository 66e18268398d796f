"""Listeners of application load balancers, for HTTPS and with one target group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from emulator.acm.certificate import CERTIFICATE
from emulator.acm.service import NotIssued
from emulator.core.aws_type import AwsRequest, known
from emulator.core.checks import emulated, one_of
from emulator.core.properties import UNKNOWN
from emulator.core.resource_type import Failure, Properties, Refused
from emulator.elb.data_plane.ssl_policies import SSL_POLICIES
from emulator.elb.model import Listener, MutualAuthentication
from emulator.elb.naming import LISTENER, LOAD_BALANCER, TARGET_GROUP, TRUST_STORE, ElbType
from emulator.elb.service import UnknownResource

MOST_VERIFYING = 2
"""Listeners in verify mode per load balancer; the quota is fixed."""
_HEADER_NAMES = [str(field.alias) for field in Listener.model_fields.values() if not field.repr]
_HEADER_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_ONLY_VERIFYING = ("trustStoreArn", "ignoreClientCertificateExpiry", "advertiseTrustStoreCaNames")
_CREATING = "creating ELBv2 Listener"


class ListenerType(ElbType):
    """`lb.Listener`."""

    token = LISTENER
    model = Listener
    required = ("defaultActions", "loadBalancerArn")
    checks: ClassVar = {
        "protocol": (one_of("HTTP", "HTTPS", "TCP", "TCP_UDP", "TLS", "UDP"), emulated("HTTPS")),
    }
    output_defaults: ClassVar = {
        "routingHttpResponseServerEnabled": True,
        "sslPolicy": Listener.defaults()["sslPolicy"],
    }
    replace_on = ("loadBalancerArn",)
    hidden = frozenset(_HEADER_NAMES)

    def resource_id(self, request: AwsRequest) -> Any:
        """The ARN, which begins as the load balancer's does."""
        balancer = request.inputs["loadBalancerArn"]
        if not known(balancer):
            return UNKNOWN
        return f"{str(balancer).replace(':loadbalancer/', ':listener/')}/{request.digest('listener')[:16]}"

    def problems(self, inputs: Properties) -> Iterable[Failure]:
        if inputs.get("port") is None:
            yield Failure("port", '"port": required for Application and Network Load Balancers')
        if inputs.get("protocol") is None:
            yield Failure("protocol", "HTTP, the default, has no stand-in in the sandbox; it has HTTPS")
        if inputs.get("certificateArn") is None:
            yield Failure("certificateArn", '"certificate_arn": required when protocol is "HTTPS"')
        policy = inputs.get("sslPolicy")
        if known(policy) and policy not in SSL_POLICIES:
            yield Failure("sslPolicy", f"SSLPolicyNotFound: SSL policy '{policy}' not found")
        if isinstance(inputs.get("mutualAuthentication"), Mapping):
            for reason in _authentication_problems(inputs["mutualAuthentication"]):
                yield Failure("mutualAuthentication", reason)
        yield from _header_problems(inputs)
        for reason in _action_problems(inputs["defaultActions"]):
            yield Failure("defaultActions", reason)

    def refuse(self, request: AwsRequest) -> None:
        """Unknown parts, a port that the load balancer has given away, too many that verify."""
        self._refuse(_CREATING, request)

    def _refuse(self, doing: str, request: AwsRequest) -> None:
        words = f"{doing} ({request.id}): api error"
        wanted = Listener.declared(request.inputs, arn=request.id)
        for token, resource_id, kind in (
            (LOAD_BALANCER, wanted.load_balancer_arn, "Load balancer"),
            (TARGET_GROUP, wanted.target_group_arn, "Target group"),
            (CERTIFICATE, wanted.certificate_arn, "Certificate"),
            (TRUST_STORE, wanted.mutual_authentication.trust_store_arn, "Trust store"),
        ):
            if resource_id is not None:
                code = f"{kind.title().replace(' ', '')}NotFound"
                self.existing(token, resource_id, f"{words} {code}: {kind} '{{id}}' not found")
        others = [
            item.inputs
            for item in self.others(request)
            if item.inputs["loadBalancerArn"] == wanted.load_balancer_arn
        ]
        if any(int(other["port"]) == wanted.port for other in others):
            raise Refused(
                f"{words} DuplicateListener: A listener already exists on this port for this load balancer "
                f"'{wanted.load_balancer_arn}'"
            )
        modes = [(other.get("mutualAuthentication") or {}).get("mode") for other in others]
        if wanted.mutual_authentication.mode == "verify" and modes.count("verify") >= MOST_VERIFYING:
            raise Refused(
                f"{words} TooManyListeners: a load balancer may have {MOST_VERIFYING} listeners with mutual "
                "TLS in verify mode"
            )

    def computed(self, request: AwsRequest) -> Properties:
        authentication = request.inputs.get("mutualAuthentication")
        if authentication is None:
            authentication = {"mode": "off"}
        elif isinstance(authentication, Mapping):
            defaults = MutualAuthentication.defaults()
            authentication = {
                "advertiseTrustStoreCaNames": defaults["advertiseTrustStoreCaNames"],
                "ignoreClientCertificateExpiry": defaults["ignoreClientCertificateExpiry"],
                **authentication,
            }
        return {"arn": request.id, "mutualAuthentication": authentication}

    def provision(self, request: AwsRequest) -> Properties:
        words = f"{_CREATING} ({request.id}):"
        try:
            return super().provision(request)
        except OSError as error:
            raise Refused(
                f"{words} port {request.inputs['port']} of loopback cannot be used: {error}"
            ) from error
        except NotIssued as error:
            raise Refused(
                f"{words} api error UnsupportedCertificate: The certificate "
                f"'{request.inputs['certificateArn']}' must have a fully-qualified domain name, a supported "
                "signature, and a supported key size; it was never issued"
            ) from error
        except (ValueError, UnknownResource) as error:
            raise Refused(f"{words} api error InvalidConfigurationRequest: {error}") from error

    def renew(self, request: AwsRequest) -> Properties:
        self._refuse("modifying ELBv2 Listener", request)
        return self.provision(request)


def _authentication_problems(authentication: Mapping[str, Any]) -> Iterable[str]:
    mode = authentication.get("mode")
    if mode is None:
        yield '"mode" is required in mutual_authentication'
    if not known(mode):
        return
    if mode == "verify" and authentication.get("trustStoreArn") is None:
        yield "trust_store_arn is required when mode is verify"
    if mode != "verify":
        for name in _ONLY_VERIFYING:
            if authentication.get(name):
                yield f"{name} is allowed in mode verify only, and mode is {mode}"


def _header_problems(inputs: Properties) -> Iterable[Failure]:
    used: dict[str, str] = {}
    for name in _HEADER_NAMES:
        if not known(inputs.get(name)):
            continue
        # The name is a secret, so the messages do not repeat it.
        value = str(inputs[name]).lower()
        if not _HEADER_NAME.fullmatch(value):
            yield Failure(
                name,
                "InvalidConfigurationRequest: a header name has 1 to 40 characters of A-Z, a-z, 0-9, -"
                f" and _; this one of {len(value)} characters has another form",
            )
        elif value in used:
            yield Failure(
                name, f"InvalidConfigurationRequest: the same header name is given to {used[value]}"
            )
        used[value] = name


def _action_problems(actions: Any) -> Iterable[str]:
    if not isinstance(actions, list):
        return
    if len(actions) != 1:
        yield f"exactly one has a stand-in in the sandbox, and there are {len(actions)}"
    elif isinstance(actions[0], Mapping):
        kind, forward = actions[0].get("type"), actions[0].get("forward")
        groups = forward.get("targetGroups") if isinstance(forward, Mapping) else None
        if known(kind) and kind != "forward":
            yield f"type {kind!r} has no stand-in in the sandbox; it has forward"
        elif actions[0].get("targetGroupArn") is None and forward is None:
            yield "one of target_group_arn and forward is required for type forward"
        elif isinstance(groups, list) and len(groups) != 1:
            yield f"{len(groups)} target groups have no stand-in in the sandbox; one has"
