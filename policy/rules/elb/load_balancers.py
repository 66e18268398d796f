"""Load balancers, target groups and trust stores, together with what refers to them in the stack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from policy.property_checks import in_production, must_be, must_be_given, must_be_true, must_not_be
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.rules.ec2.security_group_rules import (
    POSTGRESQL_PORT,
    RULE_SHAPES,
    SECURITY_GROUP,
    security_group_rules,
)
from policy.rules.elb.listeners import LISTENER, LISTENER_RULE, MUTUAL, TRUST_STORE, verifies
from policy.type_tokens import EC2_INSTANCE, LAUNCH_TEMPLATE

LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
REVOCATION = "aws:lb/trustStoreRevocation:TrustStoreRevocation"
_ATTACHMENT = "aws:lb/targetGroupAttachment:TargetGroupAttachment"
_WEB_ACL = "aws:wafv2/webAclAssociation:WebAclAssociation"
_BUCKET = "aws:s3/bucket:Bucket"
_VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
_SCALING = "aws:autoscaling/group:Group"
_SCALING_ATTACHMENT = "aws:autoscaling/attachment:Attachment"

_GUIDE = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application"
_TRANSPORT = ("TCP", "UDP", "TCP_UDP", "QUIC", "TCP_QUIC", "GENEVE")
_MUTUAL_LINK = f"{_GUIDE}/mutual-authentication.html"


def _forwards(resource: Resource) -> str:
    return "defaultActions" if resource.type == LISTENER else "actions"


def _verified_groups(stack: Stack) -> set[str]:
    """URNs of the target groups to which a verifying listener, or one of its rules, forwards."""
    found: set[str] = set()
    for listener in stack.of_types((LISTENER,)):
        if not (listener[MUTUAL].is_known and listener[MUTUAL].at("mode").is_known and verifies(listener)):
            continue
        for each in (listener, *stack.referring(LISTENER_RULE, "listenerArn", listener)):
            found.update(group.urn for group in stack.all_referred(each, _forwards(each), (TARGET_GROUP,)))
    return found


def _no_other_way(resource: Resource, stack: Stack) -> Iterator[Outcome]:
    reached = stack.all_referred(resource, _forwards(resource), (TARGET_GROUP,))
    verified = _verified_groups(stack)
    if all(group.urn not in verified for group in reached):
        return
    if resource.type == LISTENER:
        mode = resource[MUTUAL].at("mode")
        if not verifies(resource):
            yield Problem(at=mode, reason="expected verify, as in another listener of the same target group")
        return
    listeners = stack.all_referred(resource, "listenerArn", (LISTENER,))
    for listener in listeners:
        if not verifies(listener):
            yield Problem(
                at=resource["listenerArn"],
                reason=f"{listener.name} does not verify clients; another listener of the targets does",
            )


def _target_security_groups(group: Resource, stack: Stack) -> list[Resource]:
    wanted = (SECURITY_GROUP,)
    found: list[Resource] = []
    scaling = stack.referring(_SCALING, "targetGroupArns", group)
    for attachment in stack.referring(_SCALING_ATTACHMENT, "lbTargetGroupArn", group):
        scaling += stack.all_referred(attachment, "autoscalingGroupName", (_SCALING,))
    for each in scaling:
        for template in (
            *stack.all_referred(each, "launchTemplate", (LAUNCH_TEMPLATE,)),
            *stack.all_referred(each, "mixedInstancesPolicy", (LAUNCH_TEMPLATE,)),
        ):
            found += stack.all_referred(template, "vpcSecurityGroupIds", wanted)
            found += stack.all_referred(template, "networkInterfaces", wanted)
    for attachment in stack.referring(_ATTACHMENT, "targetGroupArn", group):
        for instance in stack.all_referred(attachment, "targetId", (EC2_INSTANCE,)):
            found += stack.all_referred(instance, "vpcSecurityGroupIds", wanted)
    return found


def _balancers_of(group: Resource, stack: Stack) -> list[Resource]:
    listeners = stack.referring(LISTENER, "defaultActions", group)
    for rule in stack.referring(LISTENER_RULE, "actions", group):
        listeners += stack.all_referred(rule, "listenerArn", (LISTENER,))
    return [
        balancer
        for listener in listeners
        for balancer in stack.all_referred(listener, "loadBalancerArn", (LOAD_BALANCER,))
    ]


def _only_from_the_balancer(target_group: Resource, stack: Stack) -> Iterator[Outcome]:
    if target_group.urn not in _verified_groups(stack):
        return
    port = target_group["port"].number()
    if port is None:
        return
    allowed = {
        group.urn
        for balancer in _balancers_of(target_group, stack)
        for group in stack.all_referred(balancer, "securityGroups", (SECURITY_GROUP,))
    }
    for group in dict.fromkeys(each.urn for each in _target_security_groups(target_group, stack)):
        yield from _strangers(group, int(port), allowed, stack)


def _strangers(urn: str, port: int, allowed: set[str], stack: Stack) -> Iterator[Outcome]:
    group = next(each for each in stack.of_types((SECURITY_GROUP,)) if each.urn == urn)
    separate = [each for token in RULE_SHAPES for each in stack.referring(token, "securityGroupId", group)]
    for holder in (group, *separate):
        for rule in security_group_rules(holder):
            if not rule.covers(port):
                continue
            for source in rule.sources:
                referred = stack.all_referred(holder, source.holder, (SECURITY_GROUP,))
                if not source.is_a_group or not {each.urn for each in referred} & allowed:
                    yield Problem(
                        at=source.value.renamed(f"{holder.name}.{source.value.path}"),
                        reason=f"expected only the load balancer's security group for port {port}",
                    )


def _has_revocation(store: Resource, stack: Stack) -> Iterator[Outcome]:
    if not stack.referring(REVOCATION, "trustStoreArn", store):
        yield Problem(
            at=store["name"],
            reason="expected a TrustStoreRevocation for this trust store",
        )


def _bundle_is_pinned(store: Resource, stack: Stack) -> Iterator[Outcome]:
    version = store["caCertificatesBundleS3ObjectVersion"]
    if not version.given:
        yield Problem(at=version, reason="expected the object version that was reviewed")
    for bucket in stack.all_referred(store, "caCertificatesBundleS3Bucket", (_BUCKET,)):
        versionings = stack.referring(_VERSIONING, "bucket", bucket)
        if not any(
            each["versioningConfiguration"].at("status").text().lower() == "enabled" for each in versionings
        ):
            yield Problem(
                at=store["caCertificatesBundleS3Bucket"],
                reason=f"the bucket {bucket.name} is not versioned",
            )


def _logs_connections(balancer: Resource, stack: Stack) -> Iterator[Outcome]:
    listeners = stack.referring(LISTENER, "loadBalancerArn", balancer)
    if any(verifies(each) for each in listeners):
        enabled = balancer["connectionLogs"].at("enabled")
        if enabled.truth() is not True:
            yield Problem(at=enabled, reason="expected true, since a listener verifies clients")


def _is_an_application_balancer(balancer: Resource) -> bool:
    return balancer["loadBalancerType"].text().lower() in ("", "application")


def _has_a_firewall(balancer: Resource, stack: Stack) -> Iterator[Outcome]:
    internal = balancer["internal"]
    if _is_an_application_balancer(balancer) and internal.truth() is not True:
        associations: Iterable[Resource] = stack.referring(_WEB_ACL, "resourceArn", balancer)
        if not list(associations):
            yield Problem(at=internal, reason="expected true, or an associated web ACL")


def _records(balancer: Resource) -> bool:
    return balancer["loadBalancerType"].text().lower() in ("", "application", "network")


def _in_several_zones(balancer: Resource) -> Iterator[Outcome]:
    for name in ("subnets", "subnetMappings"):
        value = balancer[name]
        if value.given and len(value.items()) == 1:
            yield Problem(at=value, reason="expected subnets of two or more zones")


def _has_a_listener(balancer: Resource, stack: Stack) -> Iterator[Outcome]:
    if not stack.referring(LISTENER, "loadBalancerArn", balancer):
        yield Problem(at=balancer["name"], reason="expected a Listener for this load balancer")


def _speaks_http(group: Resource) -> bool:
    return group["protocol"].text().upper() in ("HTTP", "HTTPS")


def _in_plain_text(listener: Resource, stack: Stack) -> Iterator[Outcome]:
    protocol = listener["protocol"]
    if protocol.text().upper() not in _TRANSPORT[:-1]:
        return
    for balancer in stack.all_referred(listener, "loadBalancerArn", (LOAD_BALANCER,)):
        is_public = balancer["internal"].truth() is not True
        if is_public and balancer["loadBalancerType"].text().lower() == "network":
            is_postgresql = listener["port"].number() == POSTGRESQL_PORT
            # Behind another port the targets may terminate TLS, as an ingress controller does.
            yield Problem(
                at=protocol,
                reason="expected TLS, since the load balancer is public",
                severity=None if is_postgresql else Severity.MEDIUM,
            )


def _has_a_protocol(group: Resource) -> bool:
    return group["targetType"].text().lower() not in ("lambda", "alb")


def _is_of_the_transport(group: Resource) -> bool:
    """Whether it takes connections as they are, whatever they carry."""
    return group["protocol"].text().upper() in _TRANSPORT


def _needs_tls(group: Resource) -> bool:
    return _has_a_protocol(group) and not _is_of_the_transport(group)


def _keeps_tls(group: Resource, stack: Stack) -> Iterator[Outcome]:
    if not _has_a_protocol(group) or not _is_of_the_transport(group):
        return
    for listener in stack.referring(LISTENER, "defaultActions", group):
        if listener["protocol"].text().upper() == "TLS":
            yield Problem(
                at=group["protocol"], reason=f"expected TLS, since {listener.name} decrypts what it forwards"
            )


RULES = (
    Rule(
        id="PGTLS-P089",
        title="Load balancers write access logs",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(LOAD_BALANCER,),
        checks=(must_be_true("accessLogs.enabled", when=_records),),
        why="Without them nobody can tell afterwards who connected.",
        fix="set accessLogs to a bucket, with enabled true",
        link=f"{_GUIDE}/load-balancer-access-logs.html",
        references=("SH:ELB.5", "CKV_AWS_91"),
    ),
    Rule(
        id="PGTLS-P090",
        title="Load balancers drop invalid headers",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(LOAD_BALANCER,),
        checks=(must_be_true("dropInvalidHeaderFields", when=_is_an_application_balancer),),
        why="A header that proxy and target read differently can forge what the target trusts.",
        fix="set dropInvalidHeaderFields to true",
        link=f"{_GUIDE}/edit-load-balancer-attributes.html",
        references=("SH:ELB.4", "CKV_AWS_131"),
    ),
    Rule(
        id="PGTLS-P091",
        title="Load balancers of production are protected from deletion",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(LOAD_BALANCER,),
        checks=(must_be_true("enableDeletionProtection", when=in_production),),
        why="One wrong update takes the service off the network.",
        fix="set enableDeletionProtection to true",
        link=f"{_GUIDE}/edit-load-balancer-attributes.html",
        references=("SH:ELB.6", "CKV_AWS_150"),
    ),
    Rule(
        id="PGTLS-P092",
        title="Load balancers refuse ambiguous requests",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(LOAD_BALANCER,),
        # Absent is defensive.
        checks=(must_not_be("desyncMitigationMode", "monitor", expected="expected defensive or strictest"),),
        why="A request that proxy and target read differently can carry another one past the proxy.",
        fix="set desyncMitigationMode to strictest",
        link=f"{_GUIDE}/edit-load-balancer-attributes.html",
        references=("SH:ELB.12", "CKV_AWS_328"),
    ),
    Rule(
        id="PGTLS-P093",
        title="Load balancers span several availability zones",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(LOAD_BALANCER,),
        checks=(_in_several_zones,),
        why="With one zone, an outage of that zone stops everything.",
        fix="set subnets of two or more zones",
        link=f"{_GUIDE}/application-load-balancers.html",
        references=("SH:ELB.13",),
    ),
    Rule(
        id="PGTLS-P096",
        title="Every load balancer has a listener",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(LOAD_BALANCER,),
        stack_checks=(_has_a_listener,),
        why="Without one it serves nobody, and its listener is made where no review sees it.",
        fix="add a Listener, or remove the load balancer",
        link=f"{_GUIDE}/load-balancer-listeners.html",
    ),
    Rule(
        id="PGTLS-P106",
        title="Target groups for HTTP have a health check of their own",
        area=Area.NETWORK,
        severity=Severity.LOW,
        types=(TARGET_GROUP,),
        checks=(must_be_given("healthCheck.path", "expected a path", when=_speaks_http),),
        why="The default path, /, often answers while the service does not work.",
        fix="set healthCheck.path",
        link=f"{_GUIDE}/target-group-health-checks.html",
        references=("CKV_AWS_261",),
    ),
    Rule(
        id="PGTLS-N76",
        title="Public network load balancers terminate TLS",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(LISTENER,),
        stack_checks=(_in_plain_text,),
        why="The load balancer passes on what anybody on the internet sends, encrypted or not.",
        fix="set protocol to TLS, with a certificate and an sslPolicy; or set internal to true",
        link="https://docs.aws.amazon.com/elasticloadbalancing/latest/network/create-tls-listener.html",
    ),
    Rule(
        id="PGTLS-P094",
        title="Internet-facing load balancers have a web application firewall",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(LOAD_BALANCER,),
        stack_checks=(_has_a_firewall,),
        why="Everybody can send requests to it.",
        fix="set internal to true, or associate a WAFv2 web ACL with the load balancer",
        link="https://docs.aws.amazon.com/waf/latest/developerguide/web-acl-associating-aws-resource.html",
        references=("SH:ELB.16",),
    ),
    Rule(
        id="PGTLS-P095",
        title="Load balancers are internal",
        area=Area.NETWORK,
        severity=Severity.MEDIUM,
        types=(LOAD_BALANCER,),
        checks=(must_be_true("internal"),),
        why="What does not need to be reached from the internet should not be reachable.",
        fix="set internal to true, or exempt a load balancer that is meant to be public",
        link=f"{_GUIDE}/application-load-balancers.html",
    ),
    Rule(
        id="PGTLS-P104",
        title="Load balancers use TLS to their targets",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(TARGET_GROUP,),
        checks=(must_be("protocol", "HTTPS", "TLS", when=_needs_tls),),
        stack_checks=(_keeps_tls,),
        why="Otherwise traffic between load balancer and target can be read.",
        fix="set protocol to HTTPS; this replaces the target group, so do it early",
        link=f"{_GUIDE}/load-balancer-target-groups.html",
        references=("SH:ELB.22",),
    ),
    Rule(
        id="PGTLS-P105",
        title="Health checks use TLS",
        area=Area.TLS,
        severity=Severity.MEDIUM,
        types=(TARGET_GROUP,),
        checks=(must_be("healthCheck.protocol", "HTTPS", when=_needs_tls),),
        why="Otherwise the target has to accept requests without TLS.",
        fix="set healthCheck.protocol to HTTPS",
        link=f"{_GUIDE}/target-group-health-checks.html",
        references=("SH:ELB.21",),
    ),
    Rule(
        id="PGTLS-N62",
        title="Every trust store has a certificate revocation list",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(TRUST_STORE,),
        stack_checks=(_has_revocation,),
        why="A stolen key would be accepted until its certificate expires.",
        fix="add a TrustStoreRevocation with the authority's CRL",
        link=_MUTUAL_LINK,
    ),
    Rule(
        id="PGTLS-N63",
        title="A trust store's CA bundle is a pinned object version in a versioned bucket",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(TRUST_STORE,),
        stack_checks=(_bundle_is_pinned,),
        why="Whoever can write the object can add an authority, and so clients.",
        fix="set caCertificatesBundleS3ObjectVersion, and enable versioning on the bucket",
        link=_MUTUAL_LINK,
    ),
    Rule(
        id="PGTLS-N64",
        title="Targets of a verifying listener have no listener that does not verify",
        area=Area.IDENTITY,
        severity=Severity.CRITICAL,
        types=(LISTENER, LISTENER_RULE),
        stack_checks=(_no_other_way,),
        why="Without verification, a client can send the headers that the application trusts.",
        fix="make the other listener verify clients too, or give it a target group of its own",
        link=_MUTUAL_LINK,
    ),
    Rule(
        id="PGTLS-N65",
        title="Only the load balancer reaches targets behind a verifying listener",
        area=Area.NETWORK,
        severity=Severity.CRITICAL,
        types=(TARGET_GROUP,),
        stack_checks=(_only_from_the_balancer,),
        why="Whoever reaches a target directly can write the client certificate headers.",
        fix="allow only the load balancer's security group to reach the targets' port",
        link=f"{_GUIDE}/load-balancer-update-security-groups.html",
    ),
    Rule(
        id="PGTLS-N66",
        title="Load balancers that verify clients log connections",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(LOAD_BALANCER,),
        stack_checks=(_logs_connections,),
        why="Rejected client certificates appear in no other log.",
        fix="set connectionLogs to a bucket, with enabled true",
        link=f"{_GUIDE}/load-balancer-connection-logs.html",
    ),
)
