"""Resources of `aws-native`, read as those of `aws`, so that every rule applies to both.

The table is the whole of what the pack knows: a property that it lacks is reported as undecided by
PGTLS-N94. Names and shapes are those of pulumi-aws-native 1.84.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from policy.native_shapes import (
    Given,
    Shape,
    attributes,
    elements,
    first_of,
    inner,
    parameters,
    placed,
    scheme,
    spread,
    to,
    words_apart,
)
from policy.resources import Resource
from policy.values import Value

PACKAGE = "aws-native"


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A resource of its own in `aws` that is a property here.

    Attributes:
        classic: Its type in `aws`.
        shape: How its properties are made.
        owner: The property by which it names the resource.
    """

    classic: str
    shape: Shape
    owner: str


@dataclass(frozen=True, kw_only=True)
class NativeType:
    """One type.

    Attributes:
        classic: The type of `aws`.
        same: Properties with the same name, shape and default.
        shaped: Properties with another name or shape.
        companions: Properties that are resources of their own.
        secrets: Properties that are secret, whether the program marks them or not.
        unread: Properties that no rule of the classic type reads.
        outputs: Outputs by another name.
        variants: Another type of `aws` where a property is given.
    """

    classic: str
    same: str = ""
    shaped: Mapping[str, Shape | tuple[Shape, ...]] = field(default_factory=dict)
    companions: Mapping[str, Companion] = field(default_factory=dict)
    secrets: str = ""
    unread: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """Every input of the table."""
        listed = f"{self.same} {self.secrets} {self.unread}".split()
        return frozenset((*listed, *self.shaped, *self.companions))


_IN_A_RULE = {
    "cidrIp": "cidrBlocks",
    "cidrIpv6": "ipv6CidrBlocks",
    "ipProtocol": "protocol",
    "sourceSecurityGroupId": "securityGroups",
    "sourceSecurityGroupName": "securityGroups",
    "destinationSecurityGroupId": "securityGroups",
    "sourcePrefixListId": "prefixListIds",
    "destinationPrefixListId": "prefixListIds",
}
_IN_AN_ACTION = {
    "authenticateCognitoConfig": "authenticateCognito",
    "authenticateOidcConfig": "authenticateOidc",
    "fixedResponseConfig": "fixedResponse",
    "forwardConfig": "forward",
    "redirectConfig": "redirect",
    "targetGroupArn": "targetGroupArn",
}
_PARAMETER_GROUP = {"dbParameterGroupName": to("name"), "parameters": parameters}
_POLICY = {"policyDocument": to("policy")}

TYPES: Mapping[str, NativeType] = MappingProxyType(
    {
        "aws-native:rds:DbInstance": NativeType(
            classic="aws:rds/instance:Instance",
            same="autoMinorVersionUpgrade backupRetentionPeriod copyTagsToSnapshot dbSubnetGroupName "
            "deletionProtection engine engineLifecycleSupport engineVersion kmsKeyId "
            "manageMasterUserPassword monitoringInterval multiAz performanceInsightsKmsKeyId "
            "publiclyAccessible storageEncrypted",
            shaped={
                "caCertificateIdentifier": to("caCertIdentifier"),
                "dbInstanceClass": to("instanceClass"),
                "dbInstanceIdentifier": to("identifier"),
                "dbParameterGroupName": to("parameterGroupName"),
                "enableCloudwatchLogsExports": to("enabledCloudwatchLogsExports"),
                "enableIamDatabaseAuthentication": to("iamDatabaseAuthenticationEnabled"),
                "enablePerformanceInsights": to("performanceInsightsEnabled"),
                "masterUserPassword": to("password"),
                "masterUsername": to("username"),
                "dbSnapshotIdentifier": to("snapshotIdentifier"),
                "sourceDbInstanceIdentifier": to("replicateSourceDb"),
                "vpcSecurityGroups": to("vpcSecurityGroupIds"),
                "dbClusterIdentifier": to("clusterIdentifier"),
                "port": to("port"),
            },
            secrets="masterUserPassword tdeCredentialPassword",
            unread="additionalStorageVolumes allocatedStorage allowMajorVersionUpgrade applyImmediately "
            "associatedRoles automaticBackupReplicationKmsKeyId automaticBackupReplicationRegion "
            "automaticBackupReplicationRetentionPeriod availabilityZone backupTarget "
            "certificateRotationRestart characterSetName customIamInstanceProfile databaseInsightsMode "
            "dbName dbClusterSnapshotIdentifier dbSystemId dedicatedLogVolume "
            "deleteAutomatedBackups iops licenseModel masterUserSecret maxAllocatedStorage "
            "monitoringRoleArn ncharCharacterSetName networkType optionGroupName "
            "performanceInsightsRetentionPeriod preferredBackupWindow preferredMaintenanceWindow "
            "processorFeatures promotionTier restoreTime storageThroughput storageType tags timezone "
            "useDefaultProcessorFeatures useLatestRestorableTime",
            outputs={"dbInstanceArn": "arn", "dbiResourceId": "resourceId"},
            variants={"dbClusterIdentifier": "aws:rds/clusterInstance:ClusterInstance"},
        ),
        "aws-native:rds:DbCluster": NativeType(
            classic="aws:rds/cluster:Cluster",
            same="backupRetentionPeriod copyTagsToSnapshot dbClusterParameterGroupName dbSubnetGroupName "
            "deletionProtection engine engineLifecycleSupport engineMode engineVersion "
            "globalClusterIdentifier kmsKeyId manageMasterUserPassword masterUsername "
            "performanceInsightsEnabled performanceInsightsKmsKeyId publiclyAccessible "
            "replicationSourceIdentifier "
            "snapshotIdentifier storageEncrypted vpcSecurityGroupIds port",
            shaped={
                "dbClusterIdentifier": to("clusterIdentifier"),
                "enableCloudwatchLogsExports": to("enabledCloudwatchLogsExports"),
                "enableIamDatabaseAuthentication": to("iamDatabaseAuthenticationEnabled"),
                "masterUserPassword": to("masterPassword"),
                "enableHttpEndpoint": to("enableHttpEndpoint"),
            },
            secrets="masterUserPassword",
            unread="allocatedStorage associatedRoles autoMinorVersionUpgrade availabilityZones "
            "backtrackWindow databaseInsightsMode databaseName dbClusterInstanceClass "
            "dbInstanceParameterGroupName dbSystemId deleteAutomatedBackups enableGlobalWriteForwarding "
            "enableLocalWriteForwarding iops masterUserSecret monitoringInterval monitoringRoleArn "
            "networkType performanceInsightsRetentionPeriod preferredBackupWindow "
            "preferredMaintenanceWindow restoreToTime restoreType scalingConfiguration "
            "serverlessV2ScalingConfiguration sourceDbClusterIdentifier sourceRegion storageType tags "
            "useLatestRestorableTime",
            outputs={"dbClusterArn": "arn", "dbClusterResourceId": "clusterResourceId"},
        ),
        "aws-native:rds:GlobalCluster": NativeType(
            classic="aws:rds/globalCluster:GlobalCluster",
            same="deletionProtection engine engineLifecycleSupport engineVersion globalClusterIdentifier "
            "sourceDbClusterIdentifier storageEncrypted",
            unread="tags",
        ),
        "aws-native:rds:DbParameterGroup": NativeType(
            classic="aws:rds/parameterGroup:ParameterGroup",
            same="family",
            shaped=_PARAMETER_GROUP,
            unread="description tags",
        ),
        "aws-native:rds:DbClusterParameterGroup": NativeType(
            classic="aws:rds/clusterParameterGroup:ClusterParameterGroup",
            same="family",
            shaped={"dbClusterParameterGroupName": to("name"), "parameters": parameters},
            unread="description tags",
        ),
        "aws-native:rds:DbSubnetGroup": NativeType(
            classic="aws:rds/subnetGroup:SubnetGroup",
            same="subnetIds",
            shaped={"dbSubnetGroupName": to("name")},
            unread="dbSubnetGroupDescription tags",
        ),
        "aws-native:rds:DbProxy": NativeType(
            classic="aws:rds/proxy:Proxy",
            same="debugLogging defaultAuthScheme engineFamily requireTls vpcSecurityGroupIds vpcSubnetIds",
            shaped={"auth": to("auths"), "dbProxyName": to("name")},
            unread="endpointNetworkType idleClientTimeout roleArn tags targetConnectionNetworkType",
            outputs={"dbProxyArn": "arn"},
        ),
        "aws-native:ec2:SecurityGroup": NativeType(
            classic="aws:ec2/securityGroup:SecurityGroup",
            same="vpcId",
            shaped={
                "groupDescription": to("description"),
                "groupName": to("name"),
                "securityGroupEgress": to("egress", **_IN_A_RULE),
                "securityGroupIngress": to("ingress", **_IN_A_RULE),
            },
            unread="tags",
            outputs={"groupId": "id"},
        ),
        "aws-native:ec2:SecurityGroupIngress": NativeType(
            classic="aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            same="cidrIpv6 description fromPort ipProtocol toPort",
            shaped={
                "cidrIp": to("cidrIpv4"),
                "groupId": to("securityGroupId"),
                "sourcePrefixListId": to("prefixListId"),
                "sourceSecurityGroupId": to("referencedSecurityGroupId"),
            },
            unread="sourceSecurityGroupOwnerId",
        ),
        "aws-native:ec2:SecurityGroupEgress": NativeType(
            classic="aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
            same="cidrIpv6 description fromPort ipProtocol toPort",
            shaped={
                "cidrIp": to("cidrIpv4"),
                "groupId": to("securityGroupId"),
                "destinationPrefixListId": to("prefixListId"),
                "destinationSecurityGroupId": to("referencedSecurityGroupId"),
            },
        ),
        "aws-native:ec2:PrefixList": NativeType(
            classic="aws:ec2/managedPrefixList:ManagedPrefixList",
            same="addressFamily entries maxEntries",
            shaped={"prefixListName": to("name")},
            unread="tags",
            outputs={"prefixListId": "id"},
        ),
        "aws-native:ec2:Instance": NativeType(
            classic="aws:ec2/instance:Instance",
            same="availabilityZone disableApiTermination ebsOptimized iamInstanceProfile instanceType "
            "launchTemplate metadataOptions monitoring sourceDestCheck subnetId",
            shaped={
                "blockDeviceMappings": elements("ebs", "ebsBlockDevices"),
                "imageId": to("ami"),
                "networkInterfaces": (
                    to("networkInterfaces"),
                    first_of("associatePublicIpAddress", "associatePublicIpAddress"),
                ),
                "securityGroupIds": to("vpcSecurityGroupIds"),
                # CloudFormation takes user data in base64.
                "userData": to("userDataBase64"),
            },
            unread="affinity cpuOptions creditSpecification enclaveOptions hibernationOptions hostId "
            "hostResourceGroupArn instanceInitiatedShutdownBehavior ipv6AddressCount ipv6Addresses keyName "
            "licenseSpecifications placementGroupName privateDnsNameOptions privateIpAddress "
            "propagateTagsToVolumeOnCreation tags tenancy",
            outputs={"instanceId": "id"},
        ),
        "aws-native:ec2:LaunchTemplate": NativeType(
            classic="aws:ec2/launchTemplate:LaunchTemplate",
            shaped={
                "launchTemplateData": spread(groups="securityGroups", securityGroupIds="vpcSecurityGroupIds"),
                "launchTemplateName": to("name"),
            },
            unread="tagSpecifications versionDescription",
            outputs={"launchTemplateId": "id"},
        ),
        "aws-native:ec2:Volume": NativeType(
            classic="aws:ebs/volume:Volume",
            same="availabilityZone encrypted kmsKeyId snapshotId",
            unread="autoEnableIo availabilityZoneId iops multiAttachEnabled outpostArn size sourceVolumeId "
            "tags throughput volumeInitializationRate volumeType",
        ),
        "aws-native:ec2:Vpc": NativeType(
            classic="aws:ec2/vpc:Vpc",
            same="cidrBlock",
            unread="enableDnsHostnames enableDnsSupport instanceTenancy ipv4IpamPoolId ipv4NetmaskLength "
            "tags vpcEncryptionControl",
            outputs={"vpcId": "id"},
        ),
        "aws-native:ec2:Subnet": NativeType(
            classic="aws:ec2/subnet:Subnet",
            same="availabilityZone cidrBlock mapPublicIpOnLaunch vpcId",
            unread="assignIpv6AddressOnCreation availabilityZoneId enableDns64 enableLniAtDeviceIndex "
            "ipv4IpamPoolId ipv4NetmaskLength ipv6CidrBlock ipv6IpamPoolId ipv6Native ipv6NetmaskLength "
            "outpostArn privateDnsNameOptionsOnLaunch tags",
            outputs={"subnetId": "id"},
        ),
        "aws-native:ec2:FlowLog": NativeType(
            classic="aws:ec2/flowLog:FlowLog",
            same="logDestination logDestinationType trafficType",
            shaped={
                "deliverLogsPermissionArn": to("iamRoleArn"),
                "resourceId": to("vpcId"),
            },
            unread="deliverCrossAccountRole destinationOptions logFormat logGroupName maxAggregationInterval "
            "resourceType tagFieldSpecifications tags",
        ),
        "aws-native:ec2:VpcEndpoint": NativeType(
            classic="aws:ec2/vpcEndpoint:VpcEndpoint",
            same="routeTableIds securityGroupIds serviceName subnetIds vpcEndpointType vpcId",
            shaped=_POLICY,
            unread="dnsOptions ipAddressType privateDnsEnabled serviceRegion tags",
        ),
        "aws-native:elasticloadbalancingv2:LoadBalancer": NativeType(
            classic="aws:lb/loadBalancer:LoadBalancer",
            same="name securityGroups subnets",
            shaped={
                "scheme": scheme,
                "subnetMappings": to("subnetMappings"),
                "type": to("loadBalancerType"),
                "loadBalancerAttributes": attributes(
                    access_logs__s3__enabled="accessLogs__enabled",
                    access_logs__s3__bucket="accessLogs__bucket",
                    connection_logs__s3__enabled="connectionLogs__enabled",
                    connection_logs__s3__bucket="connectionLogs__bucket",
                    deletion_protection__enabled="enableDeletionProtection",
                    routing__http__desync_mitigation_mode="desyncMitigationMode",
                    routing__http__drop_invalid_header_fields__enabled="dropInvalidHeaderFields",
                ),
            },
            unread="enableCapacityReservationProvisionStabilize enablePrefixForIpv6SourceNat "
            "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic ipAddressType ipv4IpamPoolId "
            "minimumLoadBalancerCapacity tags",
            outputs={"loadBalancerArn": "arn"},
        ),
        "aws-native:elasticloadbalancingv2:Listener": NativeType(
            classic="aws:lb/listener:Listener",
            same="loadBalancerArn mutualAuthentication port protocol sslPolicy",
            shaped={
                "certificates": inner("[].certificateArn", "certificateArn"),
                "defaultActions": to("defaultActions", **_IN_AN_ACTION),
                "listenerAttributes": attributes(
                    routing__http__response__strict_transport_security__header_value=(
                        "routingHttpResponseStrictTransportSecurityHeaderValue"
                    ),
                    routing__http__request__x_amzn_mtls_clientcert__header_name=(
                        "routingHttpRequestXAmznMtlsClientcertHeaderName"
                    ),
                    routing__http__request__x_amzn_mtls_clientcert_serial_number__header_name=(
                        "routingHttpRequestXAmznMtlsClientcertSerialNumberHeaderName"
                    ),
                    routing__http__request__x_amzn_mtls_clientcert_issuer__header_name=(
                        "routingHttpRequestXAmznMtlsClientcertIssuerHeaderName"
                    ),
                    routing__http__request__x_amzn_mtls_clientcert_subject__header_name=(
                        "routingHttpRequestXAmznMtlsClientcertSubjectHeaderName"
                    ),
                    routing__http__request__x_amzn_mtls_clientcert_validity__header_name=(
                        "routingHttpRequestXAmznMtlsClientcertValidityHeaderName"
                    ),
                    routing__http__request__x_amzn_mtls_clientcert_leaf__header_name=(
                        "routingHttpRequestXAmznMtlsClientcertLeafHeaderName"
                    ),
                ),
            },
            unread="alpnPolicy tags",
            outputs={"listenerArn": "arn"},
        ),
        "aws-native:elasticloadbalancingv2:ListenerRule": NativeType(
            classic="aws:lb/listenerRule:ListenerRule",
            same="listenerArn",
            shaped={"actions": to("actions", **_IN_AN_ACTION)},
            unread="conditions priority tags transforms",
        ),
        "aws-native:elasticloadbalancingv2:TargetGroup": NativeType(
            classic="aws:lb/targetGroup:TargetGroup",
            same="port protocol targetType",
            shaped={
                "healthCheckPath": to("healthCheck.path"),
                "healthCheckProtocol": to("healthCheck.protocol"),
                "healthCheckEnabled": to("healthCheck.enabled"),
            },
            unread="healthCheckIntervalSeconds healthCheckPort healthCheckTimeoutSeconds "
            "healthyThresholdCount ipAddressType matcher name protocolVersion tags targetControlPort "
            "targetGroupAttributes unhealthyThresholdCount vpcId",
            outputs={"targetGroupArn": "arn"},
        ),
        "aws-native:elasticloadbalancingv2:TrustStore": NativeType(
            classic="aws:lb/trustStore:TrustStore",
            same="caCertificatesBundleS3Bucket caCertificatesBundleS3Key caCertificatesBundleS3ObjectVersion "
            "name",
            unread="tags",
            outputs={"trustStoreArn": "arn"},
        ),
        "aws-native:elasticloadbalancingv2:TrustStoreRevocation": NativeType(
            classic="aws:lb/trustStoreRevocation:TrustStoreRevocation",
            same="trustStoreArn",
            unread="revocationContents",
        ),
        "aws-native:s3:Bucket": NativeType(
            classic="aws:s3/bucket:Bucket",
            shaped={
                "accessControl": words_apart("acl"),
                "bucketName": to("bucket"),
            },
            companions={
                "publicAccessBlockConfiguration": Companion(
                    classic="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
                    shape=spread(),
                    owner="bucket",
                ),
                "ownershipControls": Companion(
                    classic="aws:s3/bucketOwnershipControls:BucketOwnershipControls",
                    shape=inner("rules.[]", "rule"),
                    owner="bucket",
                ),
                "versioningConfiguration": Companion(
                    classic="aws:s3/bucketVersioning:BucketVersioning",
                    shape=to("versioningConfiguration"),
                    owner="bucket",
                ),
                "bucketEncryption": Companion(
                    classic="aws:s3/bucketServerSideEncryptionConfiguration:"
                    "BucketServerSideEncryptionConfiguration",
                    shape=inner(
                        "serverSideEncryptionConfiguration",
                        "rules",
                        serverSideEncryptionByDefault="applyServerSideEncryptionByDefault",
                    ),
                    owner="bucket",
                ),
                "loggingConfiguration": Companion(
                    classic="aws:s3/bucketLogging:BucketLogging",
                    shape=spread(destinationBucketName="targetBucket"),
                    owner="bucket",
                ),
            },
            same="objectLockEnabled",
            unread="abacStatus accelerateConfiguration analyticsConfigurations bucketNamePrefix "
            "bucketNamespace corsConfiguration intelligentTieringConfigurations inventoryConfigurations "
            "lifecycleConfiguration metadataConfiguration metadataTableConfiguration metricsConfigurations "
            "notificationConfiguration objectLockConfiguration replicationConfiguration tags",
        ),
        "aws-native:s3:BucketPolicy": NativeType(
            classic="aws:s3/bucketPolicy:BucketPolicy", same="bucket", shaped=_POLICY
        ),
        "aws-native:iam:Role": NativeType(
            classic="aws:iam/role:Role",
            same="managedPolicyArns permissionsBoundary",
            shaped={
                "assumeRolePolicyDocument": to("assumeRolePolicy"),
                "policies": to("inlinePolicies", policyDocument="policy", policyName="name"),
                "roleName": to("name"),
            },
            unread="description maxSessionDuration path tags",
        ),
        "aws-native:iam:RolePolicy": NativeType(
            classic="aws:iam/rolePolicy:RolePolicy",
            shaped={**_POLICY, "policyName": to("name"), "roleName": to("role")},
        ),
        "aws-native:iam:UserPolicy": NativeType(
            classic="aws:iam/userPolicy:UserPolicy",
            shaped={**_POLICY, "policyName": to("name"), "userName": to("user")},
        ),
        "aws-native:iam:GroupPolicy": NativeType(
            classic="aws:iam/groupPolicy:GroupPolicy",
            shaped={**_POLICY, "policyName": to("name"), "groupName": to("group")},
        ),
        "aws-native:iam:ManagedPolicy": NativeType(
            classic="aws:iam/policy:Policy",
            shaped={**_POLICY, "managedPolicyName": to("name")},
            unread="description groups path roles users",
            outputs={"policyArn": "arn"},
        ),
        "aws-native:kms:Key": NativeType(
            classic="aws:kms/key:Key",
            same="bypassPolicyLockoutSafetyCheck enableKeyRotation multiRegion",
            shaped={
                "enabled": to("isEnabled"),
                "keyPolicy": to("policy"),
                "keySpec": to("customerMasterKeySpec"),
                "keyUsage": to("keyUsage"),
                "pendingWindowInDays": to("deletionWindowInDays"),
            },
            unread="description origin rotationPeriodInDays tags",
        ),
        "aws-native:secretsmanager:Secret": NativeType(
            classic="aws:secretsmanager/secret:Secret",
            same="kmsKeyId name",
            companions={
                "secretString": Companion(
                    classic="aws:secretsmanager/secretVersion:SecretVersion",
                    shape=to("secretString"),
                    owner="secretId",
                )
            },
            secrets="secretString",
            unread="description generateSecretString replicaRegions tags",
        ),
        "aws-native:secretsmanager:ResourcePolicy": NativeType(
            classic="aws:secretsmanager/secretPolicy:SecretPolicy",
            same="blockPublicPolicy",
            shaped={"resourcePolicy": to("policy"), "secretId": to("secretArn")},
        ),
        "aws-native:secretsmanager:RotationSchedule": NativeType(
            classic="aws:secretsmanager/secretRotation:SecretRotation",
            same="rotationRules secretId",
            unread="externalSecretRotationMetadata externalSecretRotationRoleArn hostedRotationLambda "
            "rotateImmediatelyOnUpdate rotationLambdaArn",
        ),
        "aws-native:sns:Topic": NativeType(
            classic="aws:sns/topic:Topic",
            same="kmsMasterKeyId signatureVersion",
            shaped={"topicName": to("name")},
            unread="archivePolicy contentBasedDeduplication dataProtectionPolicy deliveryStatusLogging "
            "displayName fifoThroughputScope fifoTopic maximumMessageSize tags tracingConfig",
            outputs={"topicArn": "arn"},
        ),
        "aws-native:sns:TopicInlinePolicy": NativeType(
            classic="aws:sns/topicPolicy:TopicPolicy", shaped={**_POLICY, "topicArn": to("arn")}
        ),
        "aws-native:sns:Subscription": NativeType(
            classic="aws:sns/topicSubscription:TopicSubscription",
            same="endpoint protocol",
            shaped={"topicArn": to("topic")},
            unread="deliveryPolicy filterPolicy filterPolicyScope rawMessageDelivery redrivePolicy region "
            "replayPolicy subscriptionRoleArn",
        ),
        "aws-native:ssm:Parameter": NativeType(
            classic="aws:ssm/parameter:Parameter",
            same="name type value",
            unread="allowedPattern dataType description policies tags tier",
        ),
        "aws-native:logs:LogGroup": NativeType(
            classic="aws:cloudwatch/logGroup:LogGroup",
            same="kmsKeyId retentionInDays",
            shaped={"logGroupName": to("name")},
            unread="bearerTokenAuthenticationEnabled dataProtectionPolicy deletionProtectionEnabled "
            "fieldIndexPolicies logGroupClass resourcePolicyDocument tags",
        ),
    }
)


def readable(resource: Resource) -> tuple[Resource, ...]:
    """The resource as rules read it: itself, or those of `aws` that it stands for.

    What the table lacks of a known type comes last, as a resource of the `aws-native` type.
    """
    native = TYPES.get(resource.type)
    if native is None:
        return (resource,)
    # What is absent is placed as well, so that a message names the property that is to be set.
    names = dict.fromkeys((*native.outputs, *native.shaped, *resource.properties))
    given = [each for name in names for each in _given(native, resource, name)]
    classic = next((token for name, token in native.variants.items() if resource[name].given), native.classic)
    companions = [
        _as(resource, each.classic, [*each.shape(_value(native, resource, name))], {each.owner: resource.urn})
        for name, each in native.companions.items()
        if resource[name].given
    ]
    lacking = [
        Given(name, resource[name])
        for name in resource.properties
        if name not in native.names and name not in native.outputs
    ]
    unknown = [_as(resource, resource.type, lacking, {})] if lacking else []
    return (_as(resource, classic, given, {}), *companions, *unknown)


def _value(native: NativeType, resource: Resource, name: str) -> Value:
    value = resource[name]
    return value.hidden() if name in native.secrets.split() else value


def _given(native: NativeType, resource: Resource, name: str) -> Iterator[Given]:
    value = _value(native, resource, name)
    if name in native.shaped:
        shapes = native.shaped[name]
        for shape in shapes if isinstance(shapes, tuple) else (shapes,):
            yield from shape(value)
    elif name in native.outputs:
        yield Given(native.outputs[name], value)
    elif name in native.names and name not in native.companions:
        yield Given(name, value)


def _as(resource: Resource, token: str, given: list[Given], owners: Mapping[str, str]) -> Resource:
    dependencies: dict[str, tuple[str, ...]] = {name: (urn,) for name, urn in owners.items()}
    for name, value in given:
        # A dependency belongs to the whole property, so to the first name of a path.
        source = value.path.partition(".")[0].partition("[")[0]
        if urns := resource.dependencies.get(source, ()):
            first = name.partition(".")[0]
            dependencies[first] = (*dependencies.get(first, ()), *urns)
    return Resource(
        urn=resource.urn,
        type=token,
        declared=resource.type,
        name=resource.name,
        properties=placed(given),
        dependencies=dependencies,
        ignored=resource.ignored,
        delete_before_replace=resource.delete_before_replace,
    )
