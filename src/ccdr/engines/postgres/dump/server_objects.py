"""What a new server makes by itself, by initdb or CREATE EXTENSION, and no dump holds: what was changed of it, as
digests by name, asked of the source and again of the restored server by the same SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any

from ccdr.engines.comparison import judged
from ccdr.engines.postgres.inventory import quote_text
from ccdr.model.errors import CommandFailed
from ccdr.model.values import CheckResult, so_many

# What is no object of an extension's own, and stands beside them.
_MEMBER = re.compile(r"(?!rows of |extension |other members )")
Objects = Mapping[str, Mapping[str, str]]  # by extension, '' for initdb: digest by name

OF_SERVER = "roles that initdb makes"  # what they are members of, and comments: shared by all databases
# Which there are: another major version has others.
OF_MAJOR = ("comments and constraints that initdb makes", "objects that initdb makes")

# What an object is made of: a catalogue, whose each of its rows is (class, object), what a row tells only by numbers,
# and which rows count.
# fmt: off
# Schemas that pg_dump leaves out with the grants in them.
_SILENT = ("array(select oid from pg_namespace where nspname = 'information_schema' or nspname like 'pg\\_%' "
           "and nspname !~ '^pg_(catalog$|temp_|toast_temp_)')")
# What is granted by {acl}, by roles' names.
_GRANTS = ("(select string_agg(g, ',' order by g collate \"C\") from (select concat_ws(' ', case grantee when 0 then "
           "'all' when 10 then 'first' else quote_ident(pg_get_userbyid(grantee)) end, privilege_type, is_grantable, "
           "nullif(grantor, 10)::regrole) from aclexplode({acl})) x(g))")
_SILENT_GRANTS = f"case when {{schema}} = any ({_SILENT}) then {_GRANTS} end"


def _silent(schema: str, acl: str, kind: str, owner: str) -> str:
    return _SILENT_GRANTS.format(schema=schema, acl=f"coalesce({acl}, acldefault({kind}, {owner}))")


_HAD = "'{pg_constraint, pg_trigger, pg_rewrite, pg_policy}'::regclass[]"
_RELATION = "exists (select from pg_class c where c.oid = {} and c.relkind not in ('i', 'I', 't'))"
_PARTS = (
    ("pg_proc", "'pg_proc'", "oid", "nullif(proowner, 10)::regrole, pg_get_function_arguments(t.oid), "
     "pg_get_function_result(t.oid), (select lanname from pg_language l where l.oid = prolang), "
     "pg_get_function_sqlbody(t.oid), " + _silent("pronamespace", "proacl", "'f'", "proowner"), "true"),
    ("pg_aggregate", "'pg_proc'", "aggfnoid", "aggtranstype::regtype", "true"),
    ("pg_type", "'pg_type'", "oid", "nullif(typowner, 10)::regrole, typbasetype::regtype, "
     "typcollation::regcollation, " + _silent("typnamespace", "typacl", "'T'", "typowner"),
     "typcategory <> 'A' and typrelid = 0"),
    ("pg_enum", "'pg_type'", "enumtypid", "null", "true"),
    ("pg_class", "'pg_class'", "oid", "nullif(relowner, 10)::regrole, "
     + _silent("relnamespace", "relacl", "case relkind when 'S' then 's' else 'r' end::\"char\"", "relowner"),
     "relkind not in ('i', 'I', 't')"),
    # Of options by other names some builds keep a number of their own.
    ("pg_attribute", "'pg_class'", "attrelid", "format_type(atttypid, atttypmod), attcollation::regcollation, "
     "(select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = attrelid and adnum = attnum), "
     "array(select o from unnest(attoptions) o where o like 'n_distinct%' order by o), case when attacl is not null "
     "then " + _silent("(select relnamespace from pg_class where oid = attrelid)", "attacl", "'c'", "10") + " end",
     f"attnum > 0 and not attisdropped and {_RELATION.format('attrelid')}"),
    ("pg_constraint", "case when contypid <> 0 then 'pg_type' else 'pg_class' end",
     "case when contypid <> 0 then contypid else conrelid end", "pg_get_constraintdef(t.oid)", "contype <> 't'"),
    ("pg_index", "'pg_class'", "indrelid", "pg_get_indexdef(indexrelid)", _RELATION.format("indrelid")),
    ("pg_trigger", "'pg_class'", "tgrelid", "pg_get_triggerdef(t.oid)", "not tgisinternal"),
    ("pg_rewrite", "'pg_class'", "ev_class", "pg_get_ruledef(t.oid)", "true"),
    ("pg_inherits", "'pg_class'", "inhrelid", "inhparent::regclass", _RELATION.format("inhrelid")),
    ("pg_sequence", "'pg_class'", "seqrelid", "seqtypid::regtype", "true"),
    ("pg_operator", "'pg_operator'", "oid", "nullif(oprowner, 10)::regrole, oprcom::regoperator, "
     "oprnegate::regoperator", "true"),
    ("pg_opclass", "'pg_opclass'", "oid", "nullif(opcowner, 10)::regrole, opckeytype::regtype", "true"),
    ("pg_opfamily", "'pg_opfamily'", "oid", "nullif(opfowner, 10)::regrole", "true"),
    ("pg_amop", "'pg_opfamily'", "amopfamily", "amopopr::regoperator", "true"),
    ("pg_amproc", "'pg_opfamily'", "amprocfamily", "amproclefttype::regtype, amprocrighttype::regtype", "true"),
    ("pg_cast", "'pg_cast'", "oid", "castfunc::regprocedure", "true"),
    ("pg_namespace", "'pg_namespace'", "oid", "nullif(nspowner, 10)::regrole, "
     + _silent("t.oid", "nspacl", "'n'", "nspowner"), "nspname <> 'public'"),
    ("pg_default_acl", "'pg_namespace'", "defaclnamespace", "nullif(defaclrole, 10)::regrole, "
     + _GRANTS.format(acl="defaclacl"), f"defaclnamespace = any ({_SILENT})"),
    ("pg_policy", "'pg_class'", "polrelid", "pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid), "
     "(select string_agg(o, ',' order by o collate \"C\") from (select nullif(nullif(o, 10), 0)::regrole::text "
     "from unnest(polroles) o) x(o)), 0 = any (polroles), 10 = any (polroles)", "true"),
    ("pg_publication_rel", "'pg_class'", "prrelid", "(select pubname from pg_publication where oid = prpubid), "
     "(select to_jsonb(p) from pg_publication_tables p join pg_class c on relname = tablename join pg_namespace n on "
     "n.oid = relnamespace and nspname = schemaname join pg_publication b using (pubname) where c.oid = prrelid and "
     "b.oid = prpubid)", "true"),
    ("pg_language", "'pg_language'", "oid", "nullif(lanowner, 10)::regrole, lanplcallfoid::regprocedure", "true"),
    ("pg_conversion", "'pg_conversion'", "oid", "nullif(conowner, 10)::regrole", "true"),
    ("pg_ts_config", "'pg_ts_config'", "oid", "nullif(cfgowner, 10)::regrole", "true"),
    ("pg_ts_config_map", "'pg_ts_config'", "mapcfg", "mapdict::regdictionary", "true"),
    ("pg_ts_dict", "'pg_ts_dict'", "oid", "nullif(dictowner, 10)::regrole", "true"),
    ("pg_ts_parser", "'pg_ts_parser'", "oid", "null", "true"),
    ("pg_ts_template", "'pg_ts_template'", "oid", "null", "true"),
    ("pg_foreign_data_wrapper", "'pg_foreign_data_wrapper'", "oid", "nullif(fdwowner, 10)::regrole, "
     "fdwhandler::regproc", "true"),
    ("pg_foreign_server", "'pg_foreign_server'", "oid", "nullif(srvowner, 10)::regrole", "true"),
    ("pg_foreign_table", "'pg_class'", "ftrelid", "null", "true"),
    ("pg_event_trigger", "'pg_event_trigger'", "oid", "nullif(evtowner, 10)::regrole, evtfoid::regproc", "true"),
    # A comment on an extension is in the dump, and so is that on `public`, whose oid is 2200.
    # Also of what an object has.
    ("pg_description", "case when classoid = any (" + _HAD + ") then 'pg_class' else classoid::regclass end",
     "case when classoid = any (" + _HAD + " || 'pg_class'::regclass) then coalesce("
     "(select case when contypid <> 0 then contypid else conrelid end from pg_constraint "
     "where classoid = 'pg_constraint'::regclass and oid = objoid), (select tgrelid from pg_trigger "
     "where classoid = 'pg_trigger'::regclass and oid = objoid), (select ev_class from pg_rewrite "
     "where classoid = 'pg_rewrite'::regclass and oid = objoid), (select polrelid from pg_policy "
     "where classoid = 'pg_policy'::regclass and oid = objoid), (select indrelid from pg_index "
     "where classoid = 'pg_class'::regclass and indexrelid = objoid), objoid) else objoid end",
     "objsubid, case when classoid = any (" + _HAD + ") or exists (select from pg_index where classoid = "
     "'pg_class'::regclass and indexrelid = objoid) then (pg_identify_object(classoid, objoid, 0)).identity end",
     "case classoid when 'pg_collation'::regclass then objoid < 10000 "
     "when 'pg_extension'::regclass then objoid < 16384 "
     "else (classoid, objoid) <> ('pg_namespace'::regclass, 2200) end"),
)
# fmt: on
# Columns that another server may have otherwise for the same object: its own numbers, and statistics.
_OWN = (
    "relpages,reltuples,relallvisible,relallfrozen,relchecks,relnatts,relhasindex,relhasrules,relhastriggers,"
    "relhassubclass,relispopulated,attnum,attcacheoff,atthasmissing,attoptions,indisclustered,indcheckxmin,indisready,indislive"
)
_TOLD = r"\"char\",bool,name,text,int2,int4,int8,float4,text[],\"char\"[],regproc"  # others hold numbers


def _written(catalogue: str, whose: str, oid: str, more: str, which: str) -> str:
    return f"""\
  select t.tableoid, t.ctid, t.xmin, {whose}::regclass::oid, {oid}::oid from {catalogue} t where {which}"""


def _told(catalogue: str, whose: str, oid: str, more: str, which: str) -> str:
    """Of others nothing is asked: they may be dropped just now, and the server prints no definition of such."""
    return f"""\
  select class, object, concat_ws(' ', '{catalogue}', to_jsonb(t) - columns, {more})
  from asked join {catalogue} t on t.ctid = tid where catalogue = '{catalogue}'::regclass"""


_DIGEST = "left(encode(sha256(convert_to({}, getdatabaseencoding())), 'hex'), 32)"
# Rows of an extension's relation that no dump holds: all of them, or those that its condition for a dump leaves out.
_ROWS = """\
  select extension, 'rows of ' || object::regclass, (xpath('/row/n/text()', query_to_xml(case
      when relkind = 'S' then format('select concat_ws('' '', last_value, is_called) as n from %s', object::regclass)
      else format('select concat(count(*) filter (where whole) - count(*) filter (where not whole), '' '',
          coalesce(sum(case when whole then hash else -hash end), 0)) as n from (
            select true as whole, hashtextextended(to_jsonb(r)::text, 0)::numeric as hash from (select * from only %s) r
            union all
            select false, hashtextextended(to_jsonb(r)::text, 0) from (select * from only %s %s) r) h',
          object::regclass, object::regclass, coalesce(condition, 'where false')) end, false, true, '')))[1]::text
  from member join pg_class c on class = 'pg_class'::regclass and object = c.oid
  left join lateral (select condition from pg_extension, unnest(extconfig, extcondition) as u(config, condition)
                     where extname = extension and config = object) u on true
  where relkind in ('r', 'S') and object >= 16384 and (condition is null or condition <> '' and relkind = 'r')
    and has_table_privilege(object, 'select') and has_schema_privilege(relnamespace, 'usage')"""
# What pg_dump takes for the server's own, by where it lies. A locale of this host, under its own name, may be there.
_OWN_AMONG = "\n    union all\n".join(
    f"    select '{catalogue}'::regclass::oid, oid, {prefix}namespace from {catalogue} where {which}"
    for catalogue, prefix, which in (
        ("pg_class", "rel", "relkind in ('r', 'v', 'm', 'S', 'f', 'p')"),
        ("pg_proc", "pro", "true"),
        ("pg_type", "typ", "typrelid = 0 and typcategory <> 'A'"),
        ("pg_operator", "opr", "true"),
        ("pg_opclass", "opc", "true"),
        ("pg_opfamily", "opf", "true"),
        ("pg_conversion", "con", "true"),
        ("pg_statistic_ext", "stx", "true"),
        ("pg_ts_config", "cfg", "true"),
        ("pg_ts_dict", "dict", "true"),
        ("pg_ts_parser", "prs", "true"),
        ("pg_ts_template", "tmpl", "true"),
        (
            "pg_collation",
            "coll",
            "collname not like '%-x-icu' and collname is distinct from collcollate and "
            "collname is distinct from regexp_replace(collcollate, '[.][^@]*', '')",
        ),
    )
)
# Of objects that pg_dump takes for a part of another, where it makes no statement of them: grants, comments, and what a
# range's constructors were made otherwise than the server makes them.
_CONSTRUCTOR = "exists (select from pg_depend where classid = 'pg_proc'::regclass and objid = {} and deptype = 'i')"
_UNSAID = f"""\
  select '', 'grants of ' || type || ' ' || identity, {_DIGEST.format(_GRANTS.format(acl="acl"))} from (
    select 'pg_proc'::regclass::oid, oid, proacl, acldefault('f', proowner) from pg_proc f
    where {_CONSTRUCTOR.format("f.oid")}
    union all
    select 'pg_type'::regclass::oid, oid, typacl, acldefault('T', typowner) from pg_type t
    where typtype = 'm' or exists (select from pg_class where oid = t.typrelid and relkind <> 'c')
    ) o(class, object, acl, usual), pg_identify_object(class, object, 0)
  where {_GRANTS.format(acl="acl")} is distinct from {_GRANTS.format(acl="usual")} and acl is not null
  union all
  select '', 'definition of ' || type || ' ' || identity, {_DIGEST.format("told")}
  from pg_proc f, pg_identify_object('pg_proc'::regclass, f.oid, 0), concat_ws(' ', procost, prosecdef, proleakproof,
    proisstrict = (prosrc ~ '^multi'), provolatile, proparallel, nullif(proowner, 10)::regrole, proconfig) told
  where told <> '1 f f t i s' and {_CONSTRUCTOR.format("f.oid")}
  union all
  select '', 'comment on ' || type || ' ' || identity, {_DIGEST.format("description")}
  from pg_description, pg_identify_object(classoid, objoid, 0)
  where objoid >= 16384 and case classoid
      when 'pg_constraint'::regclass then exists (select from pg_constraint where oid = objoid and coninhcount > 0)
      when 'pg_trigger'::regclass then exists (select from pg_trigger where oid = objoid and tgparentid <> 0)
      when 'pg_rewrite'::regclass then exists (select from pg_rewrite where oid = objoid and rulename = '_RETURN')
      when 'pg_proc'::regclass then {_CONSTRUCTOR.format("objoid")}
      when 'pg_type'::regclass then exists (
        select from pg_type t left join pg_class c on c.oid = typrelid
        where t.oid = objoid and (typtype = 'm' or typcategory = 'A' or relkind <> 'c')) end
  union all
  select '', 'schema public', 'dropped' where to_regnamespace('public') is null
  union all
  select '', '{OF_SERVER}', {_DIGEST.format('''string_agg(told, ',' order by told collate "C")''')} from (
    select concat_ws(' ', member::regrole, roleid::regrole, nullif(grantor, 10)::regrole, to_jsonb(a) - array[
        'oid', 'member', 'roleid', 'grantor']) as told from pg_auth_members a where member < 16384 and roleid < 16384
    union all
    select concat_ws(' ', rolname, shobj_description(oid, 'pg_authid')) from pg_roles where rolname like 'pg\\_%'
      and shobj_description(oid, 'pg_authid') is not null) x"""
_READ = "set timezone = 'UTC'; set intervalstyle = iso_8601; set bytea_output = hex;\n"
# By extension, '' for what initdb made, the digest of each object that somebody may have changed since: whose rows in
# the catalogues were not written with the rest, by xmin, which stays when a row is frozen. What hung on a relation, a
# type or a text search configuration may have been dropped, which leaves no such row. EVERY: also of each member of an
# extension, and of what initdb made by NAMES. Of the rest of some 15,000 rows only xmin is read: to print them is slow.
# A digest is not of an order that a locale has.
_MADE = f"""\
with member(class, object, extension, written) as materialized (
  select d.classid, d.objid, extname, x.xmin::text::bigint from pg_depend d join pg_extension x on x.oid = d.refobjid
  where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
), part(catalogue, tid, written, class, object) as (
  select catalogue, tid, written::text::bigint, class, object from (
WRITTEN
  ) x(catalogue, tid, written, class, object)
  where object < 16384 or (class, object) in (select class, object from member)
), found(class, object, first, last, had) as (
  select class, object, min(written), max(written), nullif(concat_ws(',',
    case when bool_or(catalogue = 'pg_constraint'::regclass) then 'pg_constraint' end,
    case when bool_or(catalogue = 'pg_description'::regclass) then 'pg_description' end), '')
  from part group by class, object
), made(class, object, extension, name, had, changed) as (
  select class, object, coalesce(extension, ''), (i).type || ' ' || (i).identity, had, last is not null and case
    when extension is null then class = 'pg_ts_config'::regclass or coalesce(last > coalesce(
      -- initdb's last extension; or else its last views and GRANTs, by rows that CREATE OR REPLACE leaves
      (select min(xmin::text::bigint) from pg_depend where deptype = 'e' and objid < 16384),
      (select min(written) + 1 from (select xmin::text::bigint from pg_type where oid < 16384
                                     order by oid desc limit 8) x(written))), true)
    else class in ('pg_class'::regclass, 'pg_type'::regclass, 'pg_ts_config'::regclass)
      or first <> written or last <> written end
  from (select *, pg_identify_object(class, object, 0) as i
        from found full join member using (class, object) offset 0) x
  where (i).identity is not null  -- and not dropped just now
), wanted as (
  select * from made where changed or extension > '' or name in (select json_array_elements_text(NAMES))
), asked(catalogue, tid, class, object, columns) as (  -- `is true`: by a hash, where the planner would sort all
  select catalogue, tid, class, object, columns from part left join (
    select attrelid, array_agg(attname::text) from pg_attribute
    where attrelid < 10000 and (attname = any ('{{{_OWN}}}') or atttypid <> all ('{{{_TOLD}}}'::regtype[]))
    group by attrelid) x(catalogue, columns) using (catalogue)
  where ((class, object) in (select class, object from wanted)) is true
), told(class, object, told) as (
DEFINITIONS
), digested(extension, name, changed, digest) as (
  select extension, name, changed,
    {_DIGEST.format('''concat_ws(' ', name, string_agg(told, ' ' order by told collate "C"))''')}
  from wanted left join told using (class, object) group by class, object, extension, name, changed
), named(extension, name, digest) as (
  select extension, name, digest from digested where changed or EVERY
  union all
  select extension, 'other members of extension ' || extension,
    {_DIGEST.format('''string_agg(digest, '' order by digest collate "C")''')}
  from digested where extension > '' and not changed group by extension
  union all
  select '', '{OF_MAJOR[1]}',
    {_DIGEST.format('''string_agg(name, ',' order by name collate "C")''')}
  from made where extension = '' and object >= 12000  -- that can be dropped
    and class <> 'pg_extension'::regclass
  union all
  select '', '{OF_MAJOR[0]}',
    {_DIGEST.format('''string_agg(concat_ws(' ', name, had), ',' order by name collate "C")''')}
  from made where extension = '' and had is not null and class <> 'pg_extension'::regclass
  union all
  select '', type || ' ' || identity, 'own' from (
{_OWN_AMONG}
    ) o(class, object, schema), pg_identify_object(class, object, 0)
  where object >= 16384 and (o.schema = 'pg_catalog'::regnamespace or o.schema = any ({_SILENT}))
    and (class, object) not in (select class, object from member)
  union all
  select extname, 'extension ' || extname, coalesce(nullif(extowner, 10)::regrole::text, '') from pg_extension
  union all
{_UNSAID}
  union all
{_ROWS}
)
select coalesce(jsonb_object_agg(extension, told), '{{}}') from (
  select extension, jsonb_object_agg(name, digest) as told from named group by 1) x;
""".replace("WRITTEN", "\n  union all\n".join(_written(*part) for part in _PARTS)).replace(
    "DEFINITIONS", "\n  union all\n".join(_told(*part) for part in _PARTS)
)
CHANGED = _READ + _MADE.replace("EVERY", "false").replace("NAMES", "'[]'")


def every_sql(names: Collection[str]) -> str:
    """EVERY, of what initdb made by these names: those that a manifest tells of."""
    listed = json.dumps(sorted(names), ensure_ascii=False)  # where the encoding is SQL_ASCII, no \u is read
    return _READ + _MADE.replace("EVERY", "true").replace("NAMES", quote_text(listed))


def read_objects(answer: str) -> Objects:
    """Parse the one line that CHANGED or `every_sql` gives; CommandFailed where it is none."""
    try:
        return {extension: dict(told) for extension, told in json.loads(answer).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CommandFailed(["psql"], 0, f"its answer is no list of objects: {type(error).__name__}") from None


def same_server_objects(
    contents: Mapping[str, Any], every: Objects, versions: Mapping[str, str], other: Collection[str]
) -> CheckResult:
    wrong = differing(contents, every, versions, other)
    same = _of_same_version(contents, versions)
    count = so_many(sum(len(contents["server_objects"][extension]) for extension in same), "object")
    told = f"{count}, equal"
    if others := sorted(contents["server_objects"].keys() - set(same)):
        told += f"; of {', '.join(others)} not compared, as the version is another"
    if other:
        told += f"; not compared, as the server is another: {', '.join(other)}"
    if left_out := contents["left_out"]:
        told += f"; left out, as the plan says: {', '.join(left_out)}"
    return judged("what the server and extensions make", wrong, count, told, lead="differs: ")


def _of_same_version(contents: Mapping[str, Any], versions: Mapping[str, str]) -> list[str]:
    was: Mapping[str, str] = contents["extensions"]
    return [e for e in contents["server_objects"] if was.get(e) == versions.get(e)]


def differing(
    contents: Mapping[str, Any], every: Objects, versions: Mapping[str, str], other: Collection[str] = ()
) -> list[str]:
    """Names of objects that the manifest's `contents` tell of and that are others in the restored database, of which
    `every` tells; but for what the plan leaves out. An extension in another version (`versions` has them there) is
    another one: its own objects are not compared. `other` are names whose objects the server has otherwise, too."""
    before = contents["server_objects"]
    wrong = set()
    for extension in _of_same_version(contents, versions):
        after = {**every.get(extension, {})}
        rest = [d for name, d in after.items() if name not in before[extension] and _MEMBER.match(name)]
        after[f"other members of extension {extension}"] = sha256("".join(sorted(rest)).encode()).hexdigest()[:32]
        wrong |= {name for name, digest in before[extension].items() if after.get(name) != digest}
    wrong |= {f"extension {extension}" for extension in every.keys() - before.keys() if extension}
    return sorted(wrong - set(contents["left_out"]) - {*other})
