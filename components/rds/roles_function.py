"""The function in the VPC that makes the administrator, the databases and the roles of an RDS instance."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import pulumi
from pulumi_aws import cloudwatch, ec2, iam, lambda_, s3, vpc

from artifacts.roles_function import HANDLER, FunctionArtifact, function_artifact
from components import iam_documents
from components.account import Account
from components.names import stack_path
from components.network import PrivateSubnet
from components.private_bucket import PrivateBucket, PrivateBucketArgs, object_tags
from components.rds.function_run import FUNCTION_SECONDS, SCHEMA_VERSION, FunctionRun, FunctionRunArgs
from components.rds.schedule import ReconciliationSchedule, ReconciliationScheduleArgs
from postgres.declaration import Declaration, declaration_problems
from settings import Rds

ARTIFACT_KEY = "roles-function.zip"
CONFIGURATION_VARIABLE = "CONFIGURATION"

_MEMORY_MIB = 256
_HTTPS = 443
# Secrets Manager's addresses are AWS's and change, and there is no prefix list of them.
_ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class RolesFunctionArgs:
    """Arguments of `RolesFunction`.

    Attributes:
        stack: Name of the stack.
        account: Account and region that it is deployed to.
        vpc_id: The instance's VPC.
        subnets: Private subnets with a way out to Secrets Manager.
        server_security_group: Security group of the instance; it gets a rule that lets the function in.
        settings: The section `rds` of the instance.
        host: Its name, as in its certificate.
        region: Region that tokens are signed for.
        resource_id: Its `DbiResourceId`.
        master_secret_arn: Secret in which RDS keeps the master's password.
        master_secret_key_arn: Key that encrypts it; None for the account's own.
        server_ca_pem: What the function trusts for this instance.
        administrators: ARNs of the roles and users that may write what the function runs; whoever runs
            `pulumi up` must be among them.
        artifact: What the function runs; None to make it from what is installed, with `server_ca_pem` in it.
        serve_after: What must be there before the function can do its work, such as the way out.
        tags: Tags of every child.

    Raises:
        ValueError: The declaration has problems.
    """

    stack: str
    account: Account
    vpc_id: pulumi.Input[str]
    subnets: Sequence[PrivateSubnet]
    server_security_group: pulumi.Input[str]
    settings: Rds
    host: pulumi.Input[str]
    region: pulumi.Input[str]
    resource_id: pulumi.Input[str]
    master_secret_arn: pulumi.Input[str]
    master_secret_key_arn: pulumi.Input[str] | None = None
    server_ca_pem: pulumi.Input[str]
    administrators: Sequence[str]
    artifact: FunctionArtifact | None = None
    serve_after: Sequence[pulumi.Resource] = ()
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is registered."""
        problems = declaration_problems(self.settings.declaration, self.settings.major, "rds")
        if problems:
            raise ValueError("declaration: " + "; ".join(problems))


@final
@dataclass(frozen=True, kw_only=True)
class RolesFunctionResources:
    """Children of `RolesFunction`; `egress` by what is reached."""

    bucket: PrivateBucket
    artifact: s3.BucketObjectv2
    role: iam.Role
    policy: iam.RolePolicy
    group: ec2.SecurityGroup
    egress: dict[str, vpc.SecurityGroupEgressRule]
    ingress: vpc.SecurityGroupIngressRule
    log_group: cloudwatch.LogGroup
    function: lambda_.Function
    run: FunctionRun
    schedule: ReconciliationSchedule


class RolesFunction(pulumi.ComponentResource):
    """`passwordless-postgres:index:RolesFunction`: databases and roles on RDS, from inside the VPC.

    Makes a `PrivateBucket` with the function's program, an IAM role of the function's own, a security
    group that reaches the instance and AWS, a rule in the instance's group, a log group and the
    `lambda.Function`, and runs it: a `FunctionRun` per change, and a `ReconciliationSchedule` that puts back
    what somebody changes by hand. Only the function ever reads the master's password.

    Attributes:
        outcome: How the last run ended.
        resources: The children.
    """

    outcome: pulumi.Output[str]
    resources: RolesFunctionResources

    def __init__(
        self, name: str, args: RolesFunctionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the function and run it."""
        super().__init__("passwordless-postgres:index:RolesFunction", name, {}, opts)
        self._name, self._args = name, args
        artifact = pulumi.Output.from_input(args.server_ca_pem).apply(
            lambda server_ca_pem: args.artifact or function_artifact(server_ca_pem)
        )
        configuration = self._configuration()
        log_group_name = stack_path(args.stack, name)
        log_group = cloudwatch.LogGroup(
            f"{name}-log",
            name=log_group_name,
            retention_in_days=args.settings.log_retention_days,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        bucket, item = self._program(artifact)
        role, policy = self._role(log_group)
        group, egress, ingress = self._security_group(policy)
        function = lambda_.Function(
            f"{name}-function",
            description=f"Makes databases and roles of {name} in stack {args.stack}",
            runtime=lambda_.Runtime.PYTHON3D13,
            architectures=["arm64"],
            handler=HANDLER,
            role=role.arn,
            s3_bucket=bucket.id,
            s3_key=item.key,
            s3_object_version=item.version_id,
            source_code_hash=artifact.apply(lambda made: made.source_code_hash),
            timeout=FUNCTION_SECONDS,
            memory_size=_MEMORY_MIB,
            environment=lambda_.FunctionEnvironmentArgs(variables={CONFIGURATION_VARIABLE: configuration}),
            vpc_config=lambda_.FunctionVpcConfigArgs(
                subnet_ids=[subnet.id for subnet in args.subnets], security_group_ids=[group.id]
            ),
            logging_config=lambda_.FunctionLoggingConfigArgs(log_format="JSON", log_group=log_group.name),
            tags=args.tags,
            # Lambda asks for what the policy allows when it connects the function to the VPC.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        run = FunctionRun(
            f"{name}-run",
            FunctionRunArgs(
                region=args.account.region,
                function=function.name,
                server=name,
                log_group=log_group_name,
                artifact_sha256=artifact.apply(lambda made: made.sha256),
                resource_id=args.resource_id,
                configuration=configuration,
                event=event_json(args.settings),
                major=args.settings.major,
            ),
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[function, policy, ingress, *egress.values(), *args.serve_after]
            ),
        )
        schedule = ReconciliationSchedule(
            f"{name}-schedule",
            ReconciliationScheduleArgs(
                account=args.account,
                function_name=function.name,
                function_arn=function.arn,
                event=event_json(args.settings),
                topics=args.settings.alarm_topics,
                tags=args.tags,
            ),
            # The first run makes what the later ones compare.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[run]),
        )
        self.resources = RolesFunctionResources(
            bucket=bucket,
            artifact=item,
            role=role,
            policy=policy,
            group=group,
            egress=egress,
            ingress=ingress,
            log_group=log_group,
            function=function,
            run=run,
            schedule=schedule,
        )
        self.outcome = run.outcome
        self.register_outputs({"outcome": self.outcome})

    def applied(self, value: pulumi.Input[Any]) -> pulumi.Output[Any]:
        """`value`, once the instance has what is declared.

        Resolving it raises `pulumi.RunError` with the function's own words if it has not.
        """
        return self.resources.run.applied(value)

    def _program(self, artifact: pulumi.Output[FunctionArtifact]) -> tuple[PrivateBucket, s3.BucketObjectv2]:
        bucket = PrivateBucket(
            f"{self._name}-program",
            PrivateBucketArgs(writers={ARTIFACT_KEY: self._args.administrators}, tags=self._args.tags),
            opts=pulumi.ResourceOptions(parent=self),
        )
        item = s3.BucketObjectv2(
            f"{self._name}-program",
            bucket=bucket.id,
            key=ARTIFACT_KEY,
            content_base64=artifact.apply(lambda made: base64.b64encode(made.content).decode()),
            content_type="application/zip",
            tags=object_tags(self._args.tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bucket], hide_diffs=["contentBase64"]),
        )
        return bucket, item

    def _role(self, log_group: cloudwatch.LogGroup) -> tuple[iam.Role, iam.RolePolicy]:
        args = self._args
        role = iam.Role(
            f"{self._name}-function",
            description=f"The function that makes databases and roles of {self._name}",
            assume_role_policy=pulumi.Output.from_input(args.account.partition).apply(
                iam_documents.function_trust
            ),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        administrator = pulumi.Output.all(
            partition=args.account.partition,
            region=args.region,
            account_id=args.account.account_id,
            resource_id=args.resource_id,
            user=args.settings.database_roles.administrator,
        ).apply(lambda values: iam_documents.connect_arn(**values))
        policy = iam.RolePolicy(
            f"{self._name}-function",
            role=role.id,
            policy=pulumi.Output.all(
                master_secret=args.master_secret_arn,
                key=args.master_secret_key_arn,
                administrator=administrator,
                log_group=log_group.arn,
            ).apply(lambda values: iam_documents.roles_function(**values)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return role, policy

    def _security_group(
        self, policy: iam.RolePolicy
    ) -> tuple[ec2.SecurityGroup, dict[str, vpc.SecurityGroupEgressRule], vpc.SecurityGroupIngressRule]:
        args, port = self._args, self._args.settings.port
        group = ec2.SecurityGroup(
            f"{self._name}-function",
            description="Reaches PostgreSQL and Secrets Manager; nothing reaches it",
            vpc_id=args.vpc_id,
            tags={**args.tags, "Name": f"{self._name}-function"},
            # Lambda takes the function's network interface away 20 to 45 minutes after the function, as the
            # function's role, and until then the group cannot go; so the policy goes after the group.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )

        def egress(what: str, to_port: int, **to: pulumi.Input[str]) -> vpc.SecurityGroupEgressRule:
            return vpc.SecurityGroupEgressRule(
                f"{self._name}-to-{what}",
                security_group_id=group.id,
                description=f"To {what}",
                ip_protocol="tcp",
                from_port=to_port,
                to_port=to_port,
                tags=args.tags,
                opts=pulumi.ResourceOptions(parent=self),
                **to,
            )

        endpoint = args.settings.secrets_manager_endpoint
        to_aws: dict[str, pulumi.Input[str]] = (
            {"cidr_ipv4": _ANYWHERE} if endpoint is None else {"referenced_security_group_id": endpoint}
        )
        ways_out = {
            "server": egress(
                "server", args.settings.port, referenced_security_group_id=args.server_security_group
            ),
            "aws": egress("aws", _HTTPS, **to_aws),
        }
        way_in = vpc.SecurityGroupIngressRule(
            f"{self._name}-from-function",
            security_group_id=args.server_security_group,
            description=f"PostgreSQL from the function {self._name}",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=group.id,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return group, ways_out, way_in

    def _configuration(self) -> pulumi.Output[str]:
        args = self._args
        return pulumi.Output.all(
            host=args.host, region=args.region, master_secret_arn=args.master_secret_arn
        ).apply(lambda values: configuration_json(args.settings, **values))


def configuration_json(settings: Rds, *, host: str, region: str, master_secret_arn: str) -> str:
    """The function's configuration: one instance, its administrator, and the only declaration it applies.

    All that decides where a secret goes is here, where only the deployer writes it. `FunctionRun` is asked
    again when it changes.
    """
    declaration, hold = _declaration(settings), settings.reconcile.hold
    return json.dumps(
        {
            "schemaVersion": SCHEMA_VERSION,
            "host": host,
            "port": settings.port,
            "region": region,
            "major": settings.major,
            "administrator": settings.database_roles.administrator,
            "masterSecretArn": master_secret_arn,
            "declarationSha256": None if declaration is None else declaration.sha256,
            **({"holdUntil": hold.until, "holdReason": hold.reason} if hold else {}),
        },
        sort_keys=True,
    )


def event_json(settings: Rds) -> str:
    """The function's event: what shall exist on its instance."""
    declaration = _declaration(settings)
    return json.dumps(
        {
            "schemaVersion": SCHEMA_VERSION,
            "declaration": None if declaration is None else json.loads(declaration.to_json()),
        },
        sort_keys=True,
    )


def _declaration(settings: Rds) -> Declaration | None:
    """None where pulumi-postgresql makes databases and roles: the function makes the administrator alone."""
    return settings.declaration if settings.database_roles.through == "function" else None
