# ruff: noqa: S608 - every name in the SQL here is quoted
"""What declared roles have beyond the declaration: queries for what is taken back and what is reported.

What the administrator granted, or a superuser in its name, is taken back. What others granted is theirs,
and is reported.
"""

from __future__ import annotations

from postgres.administrator import FIRST_MAJOR_WITH_SELF_GRANT, RDS_EXTENSION, RDS_IAM, has_delegated
from postgres.declaration import Declaration, Platform
from postgres.identifiers import MAINTENANCE_DATABASE, quote_identifier, quote_literal
from postgres.privileges import acts_for, declared_privileges, oid_of
from postgres.steps import record_set

# The superuser that initdb made, and on RDS the master, which is a member of the roles that it made.
_INITIAL_ROLES = (
    "(SELECT 10::oid UNION ALL SELECT d.datdba FROM pg_catalog.pg_database d "
    f"WHERE d.datname = '{MAINTENANCE_DATABASE}')"
)


def excess_query(declaration: Declaration, database: str, major: int, platform: Platform) -> str:
    """A query for what is to be taken back: `executor`, `purpose`, `sql`, `access` of a `Step` for each.

    It causes no error, whatever is missing. Memberships and privileges on databases are found from the
    maintenance database, everything else in the database that it is in.
    """
    if database == MAINTENANCE_DATABASE:
        return (
            f"{_memberships(declaration, major, platform)} "
            f"UNION ALL {_taken_back(_database_entries(), declaration, MAINTENANCE_DATABASE)}"
        )
    return _taken_back(_local_entries(), declaration, database)


def foreign_query(declaration: Declaration, database: str, platform: Platform) -> str:
    """A query for what others made of declared names, a sentence per row; it causes no error either."""
    if database != MAINTENANCE_DATABASE:
        return _granted_by_others(_local_entries(), declaration, database)
    return " UNION ALL ".join(
        [
            _granted_by_others(_database_entries(), declaration, MAINTENANCE_DATABASE),
            _foreign_members(declaration),
            _powerful_roles(declaration),
            _settings(declaration),
            _parameters(declaration),
            *(_only_rds_changes(declaration) if platform == "rds" else []),
        ]
    )


def _names(declaration: Declaration, *, administrator: bool = False) -> str:
    names = sorted(role.name for role in declaration.roles)
    return _array([declaration.administrator, *names] if administrator else names)


def _array(names: list[str]) -> str:
    listed = ", ".join(quote_literal(name) for name in names)
    return f"ANY (ARRAY[{listed}]::text[])"


def _databases(declaration: Declaration) -> str:
    return _array(sorted(database.name for database in declaration.databases))


def _memberships(declaration: Declaration, major: int, platform: Platform) -> str:
    """Memberships of declared roles in others, and of the administrator in predefined ones."""
    grantor, executor = "", quote_literal("superuser")
    if major >= FIRST_MAJOR_WITH_SELF_GRANT:
        grantor = " || pg_catalog.format(' GRANTED BY %I', b.rolname)"
    declared = [
        {"member": role.name, "granted": group} for role in declaration.roles for group in role.member_of
    ]
    if platform == "rds" and has_delegated(declaration):
        declared.append({"member": declaration.administrator, "granted": RDS_EXTENSION})
    given = (
        f"EXISTS (SELECT FROM {record_set(declared)} AS d(member text, granted text) "
        "WHERE d.member = u.rolname AND d.granted = g.rolname)"
    )
    # Of what is declared, only the right to give it to others is too much.
    option, access = given, "false"
    if platform == "rds":
        # RDS has no superuser; the master gave whatever the administrator did not.
        executor = f"CASE b.rolname WHEN {quote_literal(declaration.administrator)} THEN 'administrator' "
        executor += "ELSE 'master' END"
        iam = f"g.rolname = {quote_literal(RDS_IAM)}"
        option = f"({iam} OR {given})"
        # RDS's nearest to a superuser, and who may let others log in.
        access = f"{iam} OR g.rolname = 'rds_superuser'"
    administrator = quote_literal(declaration.administrator)
    return f"""
SELECT {executor} AS executor,
  pg_catalog.format(CASE WHEN {option} THEN 'role %s no longer lets others be members of %s'
    ELSE 'role %s is no longer a member of %s' END, u.rolname, g.rolname) AS purpose,
  pg_catalog.format('REVOKE %s%I FROM %I',
    CASE WHEN {option} THEN 'ADMIN OPTION FOR ' ELSE '' END, g.rolname, u.rolname
  ){grantor} || ' CASCADE' AS sql,
  {access} AS access
FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
JOIN pg_catalog.pg_roles u ON u.oid = m.member
LEFT JOIN pg_catalog.pg_roles b ON b.oid = m.grantor
WHERE (u.rolname = {_names(declaration)} AND (NOT {option} OR m.admin_option))
  OR (u.rolname = {administrator} AND NOT {option} AND g.rolname ~ '^(pg|rds)_')
"""


def _database_entries() -> str:
    """Privileges on databases, as `_local_entries`."""
    return """
SELECT 'database' AS target, '' AS schema, d.datname::text AS name,
  pg_catalog.format('ON DATABASE %I', d.datname) AS place, '' AS columns, d.datdba AS owner, false AS later,
  e.* FROM pg_catalog.pg_database d CROSS JOIN LATERAL pg_catalog.aclexplode(d.datacl) e
"""


def _local_entries() -> str:
    """Privileges on everything in a database: a row for each privilege of each grantee by each grantor."""
    not_system = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    return f"""
SELECT 'schema' AS target, n.nspname::text AS schema, n.nspname::text AS name,
  pg_catalog.format('ON SCHEMA %I', n.nspname) AS place, '' AS columns, n.nspowner AS owner,
  false AS later, e.*
FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) e
WHERE {not_system}
UNION ALL
SELECT CASE c.relkind WHEN 'S' THEN 'sequences' ELSE 'tables' END, n.nspname, c.relname,
  pg_catalog.format('ON %s %I.%I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
    n.nspname, c.relname), '', c.relowner, false, e.*
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) e WHERE {not_system}
UNION ALL
SELECT 'tables', n.nspname, c.relname, pg_catalog.format('ON TABLE %I.%I', n.nspname, c.relname),
  pg_catalog.format(' (%I)', a.attname), c.relowner, false, e.*
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) e WHERE {not_system} AND NOT a.attisdropped
UNION ALL
SELECT 'functions', n.nspname, p.proname,
  pg_catalog.format('ON ROUTINE %I.%I(%s)', n.nspname, p.proname,
    pg_catalog.pg_get_function_identity_arguments(p.oid)), '', p.proowner, false, e.*
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) e WHERE {not_system}
UNION ALL
SELECT k.target, coalesce(n.nspname, ''), coalesce(n.nspname, ''), 'ON ' || k.keyword, '', d.defaclrole,
  true, e.*
FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
JOIN (VALUES ('r', 'tables', 'TABLES'), ('S', 'sequences', 'SEQUENCES'), ('f', 'functions', 'FUNCTIONS'),
  ('T', 'types', 'TYPES'), ('n', 'schemas', 'SCHEMAS'), ('L', 'large objects', 'LARGE OBJECTS')
) k(letter, target, keyword) ON k.letter = d.defaclobjtype::text
CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) e
"""


def _undeclared(entries: str, declaration: Declaration, database: str, condition: str) -> str:
    """FROM and WHERE: privileges `h` of the roles `g` that are not declared, or may be passed on.

    `d.role` is null where the privilege itself is not declared.
    """
    declared = [
        {
            "role": role,
            "schema": schema or "",
            "target": target,
            "place": place,
            "privilege": privilege.upper(),
            "object": name,
            "column": column,
        }
        for place, role, schema, target, privilege, later_of, name, column in sorted(
            declared_privileges(declaration), key=lambda held: tuple(map(str, held))
        )
        # What is declared of existing objects is so of later ones too, whoever will create them.
        if not later_of
        and (target == "database") == (database == MAINTENANCE_DATABASE)
        and database in (place, MAINTENANCE_DATABASE)
    ]
    in_place = "d.place = h.name" if database == MAINTENANCE_DATABASE else "true"
    return f"""
FROM ({entries}) h
JOIN (SELECT r.oid, r.rolname::text AS name, pg_catalog.quote_ident(r.rolname) AS quoted
  FROM pg_catalog.pg_roles r WHERE r.rolname = {_names(declaration)}
  UNION ALL SELECT 0, 'PUBLIC', 'PUBLIC') g ON g.oid = h.grantee
LEFT JOIN {record_set(declared)} AS d(role text, schema text, target text, place text, privilege text,
    object text, "column" text)
  ON d.role = g.name AND d.schema = h.schema AND d.target = h.target AND d.privilege = h.privilege_type
  AND {in_place} AND (d.object = '' OR (d.object = h.name AND NOT h.later))
  AND (d."column" = '' OR h.columns = pg_catalog.format(' (%I)', d."column"))
LEFT JOIN pg_catalog.pg_roles o ON o.oid = h.grantor
WHERE h.grantee <> h.grantor AND {condition} AND (d.role IS NULL OR h.is_grantable)
"""


def _taken_back(entries: str, declaration: Declaration, database: str) -> str:
    administrator = oid_of(declaration.administrator)
    ours = (
        f"(h.grantor = {administrator} OR (o.rolname = 'pg_database_owner' "
        f"AND {acts_for(declaration.administrator, 'h.grantor')}))"
    )
    # PUBLIC has these in a new database.
    usual = (
        "NOT (g.oid = 0 AND (h.target = 'database' OR (h.target = 'schema' AND h.schema = 'public') "
        "OR h.target = 'functions' OR (h.target = 'types' AND h.privilege_type = 'USAGE')))"
    )
    if database == MAINTENANCE_DATABASE:
        where, here = "'database ' || h.name", f"h.name = {_databases(declaration)}"
    else:
        here = "true"
        where = (
            "pg_catalog.format(CASE WHEN h.later THEN 'later %1$s of the administrator%3$s' "
            "WHEN h.target = 'schema' THEN 'schema %2$s' ELSE '%1$s %2$s%3$s' END, h.target, h.name, "
            "CASE WHEN h.schema = '' THEN '' ELSE ' in schema ' || h.schema END) || "
            f"{quote_literal(f' of {database}')}"
        )
    privileges = (
        "pg_catalog.string_agg(h.privilege_type || h.columns, ', ' ORDER BY h.privilege_type, h.columns)"
    )
    default = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote_identifier(declaration.administrator)} "
    return f"""
SELECT 'administrator' AS executor,
  pg_catalog.format('take %s%s on %s from %s',
    CASE WHEN d.role IS NULL THEN '' ELSE 'the right to pass on ' END,
    pg_catalog.lower({privileges}), {where}, g.name) AS purpose,
  CASE WHEN h.later THEN {quote_literal(default)}
    || CASE WHEN h.schema = '' THEN '' ELSE pg_catalog.format('IN SCHEMA %I ', h.schema) END ELSE '' END
  || 'REVOKE ' || CASE WHEN d.role IS NULL THEN '' ELSE 'GRANT OPTION FOR ' END
  || {privileges} || ' ' || h.place || ' FROM ' || g.quoted || ' CASCADE' AS sql,
  false AS access
{_undeclared(entries, declaration, database, f"{ours} AND {usual} AND {here}")}
GROUP BY h.target, h.schema, h.name, h.place, h.later, g.name, g.quoted, d.role IS NULL, d.role
"""


def _granted_by_others(entries: str, declaration: Declaration, database: str) -> str:
    administrator = oid_of(declaration.administrator)
    where = "'database ' || h.name"
    here = f"h.name = {_databases(declaration)}"
    if database != MAINTENANCE_DATABASE:
        here = "true"
        where = (
            "CASE WHEN h.later THEN 'later ' ELSE '' END || CASE WHEN h.target = 'schema' THEN 'schema ' "
            "|| h.schema ELSE h.target || CASE WHEN h.schema = '' THEN '' ELSE ' in schema ' || h.schema END "
            "END "
            f"|| {quote_literal(f' of {database}')}"
        )
    foreign = (
        f"h.grantor IS DISTINCT FROM {administrator} "
        f"AND NOT (o.rolname = 'pg_database_owner' AND {acts_for(declaration.administrator, 'h.grantor')}) "
        "AND (g.oid <> 0 OR (h.target = 'schema' AND h.privilege_type = 'CREATE') "
        "OR (h.target = 'database' AND h.grantor <> h.owner))"
    )
    return f"""
SELECT pg_catalog.format('%s has %s on %s, granted by %s', g.name,
  pg_catalog.lower(pg_catalog.string_agg(DISTINCT h.privilege_type, ', ')), {where},
  coalesce(o.rolname::text, 'a role that is gone')) AS finding
{_undeclared(entries, declaration, database, f"{foreign} AND {here}")}
GROUP BY {where}, g.name, o.rolname
"""


def _foreign_members(declaration: Declaration) -> str:
    """Members of declared roles other than the administrator; those of declared ones are taken back."""
    return f"""
SELECT pg_catalog.format('role %s is a member of declared role %s, granted by %s', u.rolname, g.rolname,
  coalesce(b.rolname::text, 'a role that is gone'))
FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
JOIN pg_catalog.pg_roles u ON u.oid = m.member
LEFT JOIN pg_catalog.pg_roles b ON b.oid = m.grantor
WHERE g.rolname = {_names(declaration, administrator=True)} AND u.oid NOT IN {_INITIAL_ROLES}
  AND u.rolname <> ALL (ARRAY(SELECT r.rolname FROM pg_catalog.pg_roles r
    WHERE r.rolname = {_names(declaration, administrator=True)}))
"""


def _powerful_roles(declaration: Declaration) -> str:
    """Other roles than the first superuser and the owner of the maintenance database, RDS's master."""
    return f"""
SELECT pg_catalog.format('role %s is not declared and %s', r.rolname, pg_catalog.concat_ws(', ',
  CASE WHEN r.rolsuper THEN 'is a superuser' END,
  CASE WHEN r.rolcreaterole THEN 'may create roles' END,
  CASE WHEN r.rolreplication THEN 'may replicate' END,
  CASE WHEN r.rolbypassrls THEN 'bypasses row-level security' END))
FROM pg_catalog.pg_roles r
WHERE (r.rolsuper OR (r.rolcanlogin AND (r.rolcreaterole OR r.rolreplication OR r.rolbypassrls)))
  AND r.oid NOT IN {_INITIAL_ROLES}
  AND NOT r.rolname = {_names(declaration, administrator=True)}
"""


def _settings(declaration: Declaration) -> str:
    """Names alone: values may be secret."""
    named, administrator = _names(declaration, administrator=True), quote_literal(declaration.administrator)
    declared = [{"role": role.name, "name": name} for role in declaration.roles for name, _ in role.settings]
    return f"""
SELECT pg_catalog.format('ALTER %s SET %s: not declared', CASE
    WHEN r.oid IS NULL THEN 'DATABASE ' || d.datname WHEN d.oid IS NULL THEN 'ROLE ' || r.rolname
    ELSE pg_catalog.format('ROLE %s IN DATABASE %s', r.rolname, d.datname)
  END, pg_catalog.string_agg(pg_catalog.split_part(c.setting, '=', 1), ', ' ORDER BY c.setting))
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) c(setting)
WHERE (r.rolname = {named} OR (r.oid IS NULL AND d.datname = {_databases(declaration)}))
  AND NOT coalesce(r.rolname = {administrator} AND d.oid IS NULL
    AND c.setting LIKE 'createrole_self_grant=%', false)
  AND NOT (d.oid IS NULL AND EXISTS (SELECT FROM {record_set(declared)} AS x(role text, name text)
    WHERE x.role = r.rolname AND x.name = pg_catalog.split_part(c.setting, '=', 1)))
GROUP BY r.oid, r.rolname, d.oid, d.datname
"""


def _parameters(declaration: Declaration) -> str:
    return f"""
SELECT pg_catalog.format('%s may %s parameter %s, granted by %s', coalesce(r.rolname::text, 'PUBLIC'),
  pg_catalog.lower(e.privilege_type), p.parname, coalesce(b.rolname::text, 'a role that is gone'))
FROM pg_catalog.pg_parameter_acl p CROSS JOIN LATERAL pg_catalog.aclexplode(p.paracl) e
LEFT JOIN pg_catalog.pg_roles r ON r.oid = e.grantee LEFT JOIN pg_catalog.pg_roles b ON b.oid = e.grantor
WHERE e.grantee = 0 OR r.rolname = {_names(declaration, administrator=True)}
"""


def _only_rds_changes(declaration: Declaration) -> list[str]:
    """What on a server of our own the superuser puts back."""
    return [
        f"""
SELECT pg_catalog.format('declared role %s %s', r.rolname, pg_catalog.concat_ws(', ',
  CASE WHEN r.rolsuper THEN 'is a superuser' END, CASE WHEN r.rolreplication THEN 'may replicate' END,
  CASE WHEN r.rolbypassrls THEN 'bypasses row-level security' END))
FROM pg_catalog.pg_roles r
WHERE r.rolname = {_names(declaration)} AND (r.rolsuper OR r.rolreplication OR r.rolbypassrls)
""",
        f"""
SELECT pg_catalog.format('database %s belongs to %s', d.datname, pg_catalog.pg_get_userbyid(d.datdba))
FROM pg_catalog.pg_database d
WHERE d.datname = {_databases(declaration)} AND d.datdba IS DISTINCT FROM {oid_of(declaration.administrator)}
""",
    ]
