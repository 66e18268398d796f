"""Actions of IAM policies that rules name."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType

DATABASES = ("dsql:dbconnect", "dsql:dbconnectadmin")
"""Log in to an Aurora DSQL cluster; the second one as its administrator."""

# Actions that AWS cannot restrict to resources, or whose calls list what all of them are. Source: Service
# Authorization Reference, the actions of each service without a resource type; by the data of iam-data
# 0.21.202609261. `Describe*` of ec2, rds, elasticloadbalancing and autoscaling, and ce:*, include some that
# can name resources, which programs that look for resources cannot know.
_WITHOUT_RESOURCES: Mapping[str, str] = MappingProxyType(
    {
        "acm": "GetAccountConfiguration ListCertificates RequestCertificate",
        "application-autoscaling": "Describe* GetPredictiveScalingForecast",
        "autoscaling": "Describe* GetPredictiveScalingForecast",
        "ce": "*",
        "cloudformation": "DescribeAccountLimits DescribeType* EstimateTemplateCost ListExports ListImports "
        "ListStacks ListTypes ValidateTemplate",
        "cloudtrail": "DescribeTrails ListChannels ListEventDataStores ListImports ListPublicKeys ListTrails "
        "LookupEvents",
        "cloudwatch": "DescribeAlarmsForMetric DescribeAnomalyDetectors DescribeInsightRules GetMetricData "
        "GetMetricStatistics GetMetricWidgetImage ListDashboards ListMetrics ListMetricStreams "
        "PutMetricData",
        "dynamodb": "DescribeEndpoints DescribeLimits DescribeReserved* ListBackups ListContributorInsights "
        "ListGlobalTables ListStreams ListTables",
        "ec2": "AssignPrivateIpAddresses CreateNetworkInterface DeleteNetworkInterface Describe* "
        "GetEbsDefaultKmsKeyId GetEbsEncryptionByDefault UnassignPrivateIpAddresses",
        "ec2messages": "*",
        "ecr": "DescribeRegistry GetAccountSetting GetAuthorizationToken GetRegistry*",
        "ecr-public": "GetAuthorizationToken",
        "ecs": "DescribeTaskDefinition DiscoverPollEndpoint ListAccountSettings ListClusters ListServices "
        "ListTaskDefinition*",
        "eks": "DescribeAddonConfiguration DescribeAddonVersions DescribeClusterVersions ListAccessPolicies "
        "ListClusters",
        "elasticache": "DescribeCacheEngineVersions DescribeEngineDefaultParameters DescribeEvents "
        "DescribeServiceUpdates",
        "elasticloadbalancing": "Describe*",
        "events": "ListApiDestinations ListArchives ListConnections ListEndpoints ListEventBuses "
        "ListEventSources ListReplays ListRules TestEventPattern",
        "health": "Describe*",
        "iam": "GenerateCredentialReport GetAccount* GetContextKeysForCustomPolicy GetCredentialReport "
        "ListAccountAliases ListGroups ListInstanceProfiles ListOpenIDConnectProviders ListPolicies "
        "ListRoles ListSAMLProviders ListServerCertificates ListUsers ListVirtualMFADevices "
        "SimulateCustomPolicy",
        "kms": "CreateKey DescribeCustomKeyStores ListAliases ListKeys ListRetirableGrants",
        "lambda": "GetAccountSettings ListCodeSigningConfigs ListEventSourceMappings ListFunctions ListLayers"
        "GetAccountSettings ListCodeSigningConfigs ListEventSourceMappings ListFunctions ListLayers",
        "logs": "DescribeAccountPolicies DescribeDeliveries DescribeDelivery* DescribeDestinations "
        "DescribeExportTasks DescribeLogGroups DescribeQueries DescribeQueryDefinitions "
        "DescribeResourcePolicies GetLogDelivery ListLogDeliveries StopQuery TestMetricFilter",
        "organizations": "DescribeOrganization ListAccounts ListAWSServiceAccessForOrganization "
        "ListDelegatedAdministrators ListRoots",
        "pricing": "*",
        "rds": "Describe*",
        "resource-groups": "GetAccountSettings ListGroups SearchResources",
        "route53": "GetAccountLimit GetCheckerIpRanges GetGeoLocation GetHealthCheckCount GetHostedZoneCount "
        "ListGeoLocations ListHealthChecks ListHostedZones ListHostedZonesByName "
        "ListReusableDelegationSets ListTrafficPolicies TestDNSAnswer",
        "s3": "GetAccountPublicAccessBlock ListAccessPoints ListAllMyBuckets ListJobs",
        "secretsmanager": "BatchGetSecretValue GetRandomPassword ListSecrets",
        "servicequotas": "GetAWSDefaultServiceQuota ListAWSDefaultServiceQuotas ListService*",
        "sns": "CheckIfPhoneNumberIsOptedOut GetSMSAttributes ListPhoneNumbersOptedOut ListSubscriptions "
        "ListTopics",
        "sqs": "ListQueues",
        "ssm": "DescribeActivations DescribeAutomationExecutions DescribeAvailablePatches "
        "DescribeInstanceInformation DescribeInstanceProperties DescribeMaintenanceWindows "
        "DescribeOpsItems DescribeParameters DescribePatchGroups DescribeSessions "
        "GetCommandInvocation GetDeployablePatchSnapshotForInstance GetInventory GetManifest "
        "ListAssociations ListCommandInvocations ListCommands ListComplianceItems ListDocuments "
        "ListInventoryEntries ListOpsItemEvents PutComplianceItems PutConfigurePackageResult "
        "PutInventory UpdateInstanceInformation",
        "ssmmessages": "*",
        "states": "ListActivities ListStateMachines ValidateStateMachineDefinition",
        "sts": "DecodeAuthorizationMessage GetCallerIdentity GetServiceBearerToken GetSessionToken",
        "support": "*",
        "tag": "*",
        "xray": "Batch* GetGroups GetInsight* GetSampling* GetServiceGraph GetTimeSeriesServiceStatistics "
        "GetTrace* Put*",
    }
)


@lru_cache(maxsize=1024)
def has_no_resource(action: str) -> bool:
    """Whether an action in lower case, which may be a pattern, can be allowed on `*` only."""
    service, _, name = action.partition(":")
    return any(fnmatchcase(name, each.lower()) for each in _WITHOUT_RESOURCES.get(service, "").split())
