"""AppSync: encryption of caches, authentication of clients."""

from __future__ import annotations

from policy.property_checks import must_be, must_be_true
from policy.rule import Area, Rule, Severity

GRAPHQL_CACHE = "aws:appsync/apiCache:ApiCache"
GRAPHQL = "aws:appsync/graphQLApi:GraphQLApi"


RULES = (
    Rule(
        id="PGTLS-P280",
        title="Caches of AppSync are encrypted",
        area=Area.ENCRYPTION,
        severity=Severity.MEDIUM,
        types=(GRAPHQL_CACHE,),
        checks=(must_be_true("atRestEncryptionEnabled"), must_be_true("transitEncryptionEnabled")),
        why="The cache holds answers of the API, and both settings cannot be changed later.",
        fix="set atRestEncryptionEnabled and transitEncryptionEnabled to true",
        link="https://docs.aws.amazon.com/appsync/latest/devguide/enabling-caching.html",
        references=("SH:AppSync.1", "SH:AppSync.6", "CKV_AWS_214", "CKV_AWS_215"),
    ),
    Rule(
        id="PGTLS-P281",
        title="GraphQL APIs are not open to whoever has a key",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(GRAPHQL,),
        checks=(
            must_be(
                "authenticationType",
                "AWS_IAM",
                "AMAZON_COGNITO_USER_POOLS",
                "OPENID_CONNECT",
                "AWS_LAMBDA",
            ),
        ),
        why="An API key is in every client, and names nobody.",
        fix="set authenticationType to AWS_IAM, AMAZON_COGNITO_USER_POOLS, OPENID_CONNECT or AWS_LAMBDA",
        link="https://docs.aws.amazon.com/appsync/latest/devguide/security-authz.html",
        references=("SH:AppSync.5",),
    ),
)
