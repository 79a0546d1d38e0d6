-- A contact centre's CRM, with the corners that real schemas have collected over the years.
-- How to run it: see database.sql. Needs a fresh cluster, since roles belong to the cluster.
--
-- Everything here comes back from `pg_dump -Fd` and `pg_restore -C --exit-on-error` exactly as it was.
-- What does not (and is therefore absent) is told where you would look for it: grep for "not here".

\set QUIET on
\set ON_ERROR_STOP on
\if :{?now}
\else
SELECT pg_catalog.now() AS now \gset
\endif
SET client_min_messages = error; -- publications warn where wal_level is not logical
SET timezone = 'UTC';

BEGIN;

-- ---------------------------------------------------------------------------------------------- roles

CREATE ROLE crm_owner NOLOGIN;
COMMENT ON ROLE crm_owner IS 'Owns the schema; nobody logs in as it';
CREATE ROLE crm_app LOGIN;
CREATE ROLE crm_readonly NOLOGIN;
CREATE ROLE crm_report LOGIN CONNECTION LIMIT 10;
-- Left in 2024; still owns a view and some scans.
CREATE ROLE "i.țăranu" LOGIN VALID UNTIL '2025-01-01 00:00:00+00';

GRANT crm_readonly TO crm_report WITH INHERIT TRUE, SET FALSE;
GRANT crm_readonly TO crm_owner WITH ADMIN OPTION;
GRANT crm_readonly TO "i.țăranu" WITH INHERIT FALSE GRANTED BY crm_owner;

ALTER ROLE crm_report SET statement_timeout = '30s';
ALTER ROLE crm_report SET default_transaction_read_only = on;
ALTER ROLE crm_app SET search_path = public, archive;
ALTER ROLE crm_app IN DATABASE :"DBNAME" SET lock_timeout = '2s';
GRANT SET ON PARAMETER log_min_duration_statement TO crm_owner;

-- The backup role: copy these lines for a server of your own. It can read everything and write nothing.
--   pg_read_all_data  reads every table, view and sequence, those of tomorrow too.
--   BYPASSRLS         pg_dump refuses tables whose row-level security would hide rows from it.
--   connections       one for pg_dump, one for each of its jobs, a few for looking at the source.
-- Large objects are not part of pg_read_all_data in PostgreSQL 17: each is granted below, where it is
-- made. A large object without the grant makes pg_dump fail, so it is noticed. Where an application makes
-- them without your doing, there is the setting
--   ALTER ROLE ccdr_backup IN DATABASE crm SET lo_compat_privileges = on;
-- which reads all of them, but lets the role write them too.
-- Where CONNECT was taken from PUBLIC, as here, the role needs it too, and on the database `postgres` or
-- `pg_dumpall --globals-only --no-role-passwords -l crm`, since that one connects to `postgres` by default.
-- Roles come back without passwords (`--no-role-passwords`): reading those takes a superuser.
CREATE ROLE ccdr_backup LOGIN BYPASSRLS CONNECTION LIMIT 12;
GRANT pg_read_all_data TO ccdr_backup;
GRANT CONNECT ON DATABASE :"DBNAME" TO ccdr_backup;

-- ---------------------------------------------------------------------------------------- the database

COMMENT ON DATABASE :"DBNAME" IS 'Contact centre: clienți, apeluri, acorduri';
ALTER DATABASE :"DBNAME" OWNER TO crm_owner;
REVOKE CONNECT, TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO crm_app, crm_readonly, crm_report;
ALTER DATABASE :"DBNAME" SET timezone = 'Europe/Bucharest';
ALTER DATABASE :"DBNAME" SET bytea_output = 'escape';
ALTER DATABASE :"DBNAME" SET "crm.site" = 'București 1';

CREATE EXTENSION btree_gist WITH SCHEMA public;
CREATE EXTENSION citext WITH SCHEMA public;
CREATE EXTENSION lo WITH SCHEMA public;
CREATE EXTENSION pg_trgm WITH SCHEMA public;
CREATE EXTENSION pgcrypto WITH SCHEMA public;
CREATE EXTENSION postgres_fdw WITH SCHEMA public;
CREATE EXTENSION unaccent WITH SCHEMA public;
-- Grants on an extension's functions, and on one of the system's, are dumped as differences.
REVOKE ALL ON FUNCTION public.pgp_sym_decrypt(bytea, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.pgp_sym_decrypt(bytea, text) TO crm_owner;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_waldir() TO crm_owner;

CREATE SCHEMA archive AUTHORIZATION crm_owner;
COMMENT ON SCHEMA archive IS E'What was moved out of the way\nand what the law wants kept';
GRANT USAGE ON SCHEMA archive TO crm_readonly;
GRANT CREATE ON SCHEMA public TO crm_owner;

ALTER DEFAULT PRIVILEGES FOR ROLE crm_owner IN SCHEMA public GRANT SELECT ON TABLES TO crm_readonly;
ALTER DEFAULT PRIVILEGES FOR ROLE crm_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE ON TABLES TO crm_app;
ALTER DEFAULT PRIVILEGES FOR ROLE crm_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO crm_app;
ALTER DEFAULT PRIVILEGES FOR ROLE crm_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

SET ROLE crm_owner;

-- ------------------------------------------------------------------------------ types and collations

-- Romanian as the operating system has it, else as ICU has it.
SELECT coalesce(max(quote_ident(collname)) FILTER (WHERE collname = 'ro_RO.utf8'), '"ro-RO-x-icu"') AS romanian
FROM pg_catalog.pg_collation \gset
CREATE COLLATION public.romanian_ci (provider = icu, locale = 'ro-u-ks-level2', deterministic = false);
COMMENT ON COLLATION public.romanian_ci IS 'Ștefan and ȘTEFAN are one name';

CREATE TYPE public.call_direction AS ENUM ('inbound', 'outbound', 'intern''al', 'callback');
-- A value added later and sorted in between: its place must survive.
CREATE TYPE public.agent_status AS ENUM ('active', 'on leave', 'left');
CREATE TYPE public.consent_channel AS ENUM ('voice', 'sms', 'email', 'înregistrare');
CREATE DOMAIN public.e164 AS text CONSTRAINT e164_form CHECK (VALUE ~ '^\+[1-9][0-9]{6,14}$');
CREATE DOMAIN public.sha256_hex AS text CHECK (VALUE ~ '^[0-9a-f]{64}$');
CREATE DOMAIN public.email AS citext CHECK (VALUE ~ '^[^@\s]+@[^@\s]+$');
CREATE DOMAIN public.percentage AS numeric(5, 2) DEFAULT 0.00 NOT NULL CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE public.postal_address AS (street text, house text, city text COLLATE public.romanian_ci, postcode text);
CREATE TYPE public.money_range AS RANGE (subtype = numeric, multirange_type_name = public.money_ranges);

CREATE TEXT SEARCH CONFIGURATION public.crm_ro (COPY = pg_catalog.romanian);
ALTER TEXT SEARCH CONFIGURATION public.crm_ro
    ALTER MAPPING FOR hword, hword_part, word WITH public.unaccent, romanian_stem;

-- --------------------------------------------------------------------------------------------- functions

-- unaccent() itself is only STABLE; named with its schema, it holds under pg_restore's empty search_path.
CREATE FUNCTION public.fold(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$SELECT pg_catalog.lower(public.unaccent('public.unaccent'::pg_catalog.regdictionary, value))$$;
COMMENT ON FUNCTION public.fold(text) IS 'Țăranu is found as "taranu"; it''s used by an index';
GRANT EXECUTE ON FUNCTION public.fold(text) TO crm_app, crm_readonly;

CREATE FUNCTION public.keep_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN
        NEW.updated_at := pg_catalog.clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION public.tidy_note() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    -- A quote ' a backslash \ and $$ in a body are not the end of it.
    NEW.note := nullif(pg_catalog.rtrim(NEW.note, E' '), $$N/A \$$);
    RETURN NEW;
END
$body$;

CREATE FUNCTION public.seconds(since timestamptz, until timestamptz DEFAULT pg_catalog.now(), VARIADIC less int[] DEFAULT '{}')
    RETURNS bigint LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT (EXTRACT(epoch FROM until - since) - coalesce((SELECT sum(l) FROM unnest(less) AS l), 0))::bigint;
    END;
GRANT EXECUTE ON FUNCTION public.seconds(timestamptz, timestamptz, int[]) TO crm_readonly WITH GRANT OPTION;

CREATE FUNCTION public.longest_step(state interval, next interval) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN greatest(state, next);
CREATE AGGREGATE public.longest(interval) (SFUNC = public.longest_step, STYPE = interval, PARALLEL = SAFE);

-- ------------------------------------------------------------------------------------- people and queues

CREATE TABLE public.queue (
    id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text NOT NULL UNIQUE,
    name text COLLATE :romanian NOT NULL,
    skills text[] NOT NULL DEFAULT '{}',
    service_level public.percentage,
    open_hours jsonb
);

CREATE TABLE public.agent (
    id integer GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 1) PRIMARY KEY,
    login public.citext NOT NULL CONSTRAINT agent_login_unique UNIQUE,
    given_name text NOT NULL,
    family_name text COLLATE :romanian NOT NULL,
    extension smallint UNIQUE DEFERRABLE INITIALLY DEFERRED,
    status public.agent_status NOT NULL DEFAULT 'active',
    supervisor_id integer CONSTRAINT agent_supervisor REFERENCES public.agent DEFERRABLE INITIALLY DEFERRED,
    hired date,
    photo bytea,
    phones public.e164[],
    address public.postal_address
);
ALTER TYPE public.agent_status ADD VALUE 'în probă' BEFORE 'active';

-- A table whose middle column was dropped long ago: the columns' numbers have a hole.
CREATE TABLE public.customer (
    id bigint GENERATED BY DEFAULT AS IDENTITY (CACHE 20) PRIMARY KEY,
    given_name text NOT NULL,
    fax text,
    family_name text COLLATE :romanian NOT NULL,
    full_name text GENERATED ALWAYS AS (given_name || ' ' || family_name) STORED,
    email public.email,
    phone public.e164,
    city text COLLATE public.romanian_ci,
    address public.postal_address,
    region text NOT NULL,
    born date,
    vip boolean NOT NULL DEFAULT false,
    balance numeric(14, 4) NOT NULL DEFAULT 0,
    spending public.money_range,
    contact_times public.money_ranges,
    preferences jsonb NOT NULL DEFAULT '{}',
    note text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    search tsvector GENERATED ALWAYS AS (
        to_tsvector('public.crm_ro', coalesce(given_name, '') || ' ' || coalesce(family_name, '') || ' ' || coalesce(note, ''))
    ) STORED
);
ALTER TABLE public.customer DROP COLUMN fax;
ALTER TABLE public.customer ALTER COLUMN region SET STATISTICS 500;
ALTER TABLE public.customer ALTER COLUMN note SET STORAGE EXTERNAL;
ALTER TABLE public.customer SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX customer_family_name ON public.customer (family_name, given_name COLLATE :romanian DESC NULLS LAST);
CREATE INDEX customer_folded ON public.customer (public.fold(full_name));
CREATE INDEX customer_name_trigrams ON public.customer USING gin (full_name public.gin_trgm_ops);
CREATE INDEX customer_search ON public.customer USING gin (search);
CREATE INDEX customer_preferences ON public.customer USING gin (preferences jsonb_path_ops);
CREATE INDEX customer_vip ON public.customer (region, balance) INCLUDE (phone) WHERE vip AND balance <> 0;
CREATE UNIQUE INDEX customer_email ON public.customer (email) NULLS DISTINCT WHERE email IS NOT NULL;
CREATE INDEX customer_created ON public.customer USING brin (created_at) WITH (pages_per_range = 16);
COMMENT ON TABLE public.customer IS 'Clienții noștri; "id" is what the phone system knows them by';
COMMENT ON COLUMN public.customer.note IS E'Free text.\n\\.\nMay hold anything: tabs\t, \\ and '' too';
COMMENT ON INDEX public.customer_folded IS 'Search without diacritics';

CREATE TABLE public.consent (
    customer_id bigint NOT NULL REFERENCES public.customer ON DELETE CASCADE,
    channel public.consent_channel NOT NULL,
    given_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    evidence_digest bytea,
    wording text,
    CONSTRAINT consent_order CHECK (withdrawn_at >= given_at),
    PRIMARY KEY (customer_id, channel, given_at)
) WITH (toast.autovacuum_enabled = false);
CREATE UNIQUE INDEX consent_one_open ON public.consent (customer_id, channel) WHERE withdrawn_at IS NULL;

CREATE TABLE public.script (
    id integer PRIMARY KEY,
    campaign_id integer NOT NULL,
    body xml
);
-- Two tables that refer to each other, as campaigns and their current scripts do.
CREATE TABLE public.campaign (
    id serial PRIMARY KEY,
    name text COLLATE :romanian NOT NULL,
    script_id integer REFERENCES public.script ON DELETE SET NULL DEFERRABLE,
    running daterange NOT NULL,
    dial_ratio real NOT NULL DEFAULT 1.1,
    budget numeric,
    target_numbers int8multirange,
    EXCLUDE USING gist (name WITH =, running WITH &&) WHERE (budget > 0)
);
ALTER TABLE public.script ADD CONSTRAINT script_campaign FOREIGN KEY (campaign_id)
    REFERENCES public.campaign ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE public.disposition (
    code public.citext PRIMARY KEY,
    label text NOT NULL,
    final boolean NOT NULL,
    retry_after interval
);

-- ------------------------------------------------------------------------------------------------- calls

CREATE TABLE public.call (
    id bigint GENERATED BY DEFAULT AS IDENTITY,
    started_at timestamptz NOT NULL,
    answered_at timestamptz,
    ended_at timestamptz,
    direction public.call_direction NOT NULL,
    customer_id bigint REFERENCES public.customer,
    agent_id integer REFERENCES public.agent,
    queue_id smallint CONSTRAINT call_queue REFERENCES public.queue,
    campaign_id integer REFERENCES public.campaign ON DELETE SET NULL,
    disposition_code public.citext REFERENCES public.disposition ON UPDATE CASCADE,
    remote_number public.e164,
    talk_seconds integer GENERATED ALWAYS AS (EXTRACT(epoch FROM ended_at - answered_at)::integer) STORED,
    cost numeric(12, 6),
    quality double precision,
    tags text[],
    attributes jsonb,
    note text,
    recording_path text COLLATE "C",
    recording_bytes bigint,
    recording_sha256 public.sha256_hex,
    CONSTRAINT call_times CHECK (answered_at >= started_at AND ended_at >= answered_at),
    CONSTRAINT call_recording_whole CHECK (num_nulls(recording_path, recording_bytes, recording_sha256) IN (0, 3)),
    PRIMARY KEY (id, started_at)
) PARTITION BY RANGE (started_at);
COMMENT ON TABLE public.call IS 'One row a call; by month of Europe/Bucharest, summer time and all';
CREATE TABLE public.call_default PARTITION OF public.call DEFAULT;
CREATE INDEX call_customer ON public.call (customer_id, started_at DESC);
CREATE INDEX call_tags ON public.call USING gin (tags) WHERE tags IS NOT NULL;
CREATE UNIQUE INDEX call_recording ON public.call (recording_path, started_at) WHERE recording_path IS NOT NULL;

-- One partition a month: seven of the past, this month, the next. Bounds are midnights in Bucharest.
SELECT format('CREATE TABLE public.%I PARTITION OF public.call FOR VALUES FROM (%L) TO (%L);',
              'call_' || to_char(month, 'YYYY_MM'),
              month AT TIME ZONE 'Europe/Bucharest', (month + interval '1 month') AT TIME ZONE 'Europe/Bucharest')
FROM (SELECT date_trunc('month', :'now'::timestamptz AT TIME ZONE 'Europe/Bucharest') + n * interval '1 month' AS month
      FROM generate_series(-6, 1) AS n) AS months
\gexec
-- The oldest was a table of its own once: other order of columns, an index of its own, and then attached.
SELECT 'call_' || to_char(month, 'YYYY_MM') AS oldest,
       month AT TIME ZONE 'Europe/Bucharest' AS oldest_from,
       (month + interval '1 month') AT TIME ZONE 'Europe/Bucharest' AS oldest_to
FROM (SELECT date_trunc('month', :'now'::timestamptz AT TIME ZONE 'Europe/Bucharest') - interval '7 months' AS month) AS m
\gset
CREATE TABLE public.:"oldest" (
    note text,
    recording_sha256 public.sha256_hex,
    recording_bytes bigint,
    recording_path text COLLATE "C",
    obsolete int,
    started_at timestamptz NOT NULL,
    id bigint NOT NULL,
    direction public.call_direction NOT NULL,
    answered_at timestamptz,
    ended_at timestamptz,
    talk_seconds integer GENERATED ALWAYS AS (EXTRACT(epoch FROM ended_at - answered_at)::integer) STORED,
    customer_id bigint,
    agent_id integer,
    queue_id smallint,
    campaign_id integer,
    disposition_code public.citext,
    remote_number public.e164,
    cost numeric(12, 6),
    quality double precision,
    tags text[],
    attributes jsonb,
    CONSTRAINT call_times CHECK (answered_at >= started_at AND ended_at >= answered_at),
    CONSTRAINT call_recording_whole CHECK (num_nulls(recording_path, recording_bytes, recording_sha256) IN (0, 3))
);
ALTER TABLE public.:"oldest" DROP COLUMN obsolete;
ALTER TABLE public.call ATTACH PARTITION public.:"oldest" FOR VALUES FROM (:'oldest_from') TO (:'oldest_to');
CREATE INDEX "oldest partition's own index" ON public.:"oldest" (agent_id) WITH (fillfactor = 100);

-- By hash of a bigint. By hash of an enum is not here: its hash differs after a restore, so rows land in
-- other partitions than they came from.
CREATE TABLE public.call_leg (
    call_id bigint NOT NULL,
    leg smallint NOT NULL,
    started_at timestamptz NOT NULL,
    channel text NOT NULL,
    codec "char",
    peer inet,
    mac macaddr,
    PRIMARY KEY (call_id, leg),
    FOREIGN KEY (call_id, started_at) REFERENCES public.call (id, started_at)
) PARTITION BY HASH (call_id);
CREATE TABLE public.call_leg_0 PARTITION OF public.call_leg FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.call_leg_1 PARTITION OF public.call_leg FOR VALUES WITH (MODULUS 2, REMAINDER 1);

CREATE TABLE public.transcript (
    call_id bigint NOT NULL,
    started_at timestamptz NOT NULL,
    language char(5) NOT NULL,
    body text COMPRESSION lz4,
    words jsonb,
    FOREIGN KEY (call_id, started_at) REFERENCES public.call (id, started_at) ON DELETE CASCADE,
    UNIQUE NULLS NOT DISTINCT (call_id, language)
);
CREATE INDEX transcript_words ON public.transcript USING gin (words);

CREATE TABLE public.voicemail (
    id uuid PRIMARY KEY,
    call_id bigint NOT NULL,
    started_at timestamptz NOT NULL,
    audio bytea NOT NULL,
    heard_by integer[] NOT NULL DEFAULT '{}',
    FOREIGN KEY (call_id, started_at) REFERENCES public.call (id, started_at)
);
ALTER TABLE public.voicemail REPLICA IDENTITY FULL;

-- Scans and letters are large objects; `content` is their number.
CREATE TABLE public.call_attachment (
    call_id bigint NOT NULL,
    started_at timestamptz NOT NULL,
    title text NOT NULL,
    content public.lo NOT NULL,
    FOREIGN KEY (call_id, started_at) REFERENCES public.call (id, started_at)
);
CREATE TRIGGER call_attachment_content BEFORE UPDATE OR DELETE ON public.call_attachment
    FOR EACH ROW EXECUTE FUNCTION public.lo_manage('content');

CREATE TABLE public.agent_shift (
    agent_id integer NOT NULL REFERENCES public.agent,
    during tstzrange NOT NULL,
    breaks tstzmultirange,
    CONSTRAINT agent_shift_once EXCLUDE USING gist (agent_id WITH =, during WITH &&) DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE public.agent_shift ADD PRIMARY KEY (agent_id, during);
ALTER TABLE public.agent_shift CLUSTER ON agent_shift_pkey;

-- serial, its sequence far ahead of the table: an import that was rolled back.
CREATE TABLE public.callback (
    id serial PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES public.customer,
    agent_id integer,
    due timestamptz NOT NULL,
    window_local timetz,
    reason text,
    attempts smallint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL
);
-- Never validated: callbacks of agents who are gone.
ALTER TABLE public.callback ADD CONSTRAINT callback_agent FOREIGN KEY (agent_id) REFERENCES public.agent NOT VALID;

CREATE TABLE public."Do Not Call" (
    "Număr" public.e164 PRIMARY KEY,
    "Since when?" date NOT NULL,
    "select" text,
    "it's ""quoted""" boolean
);
COMMENT ON TABLE public."Do Not Call" IS 'National list; spaces since 2011';

CREATE TABLE public.survey (call_id bigint, asked_at timestamptz, score smallint CHECK (score BETWEEN 0 AND 10));
CREATE TABLE public."placeholder" ();
CREATE UNLOGGED TABLE public.dialler_session (agent_id integer PRIMARY KEY, since timestamptz, state jsonb);

-- Inheritance from before partitioning. A child that was made first and then altered to INHERIT, its columns
-- in another order than its parent's, is not here: it comes back with the parent's columns first.
CREATE TABLE archive.interaction (id integer PRIMARY KEY, at timestamptz NOT NULL, summary text);
CREATE TABLE archive."E-mail" (subject text, summary text NOT NULL DEFAULT '') INHERITS (archive.interaction);
-- The same name as in public.
CREATE TABLE archive.campaign (LIKE public.campaign INCLUDING COMMENTS INCLUDING STORAGE, closed_at timestamptz);
CREATE TABLE archive.consent_log (
    at timestamptz NOT NULL,
    customer_id bigint NOT NULL,
    channel public.consent_channel NOT NULL,
    what text NOT NULL
);

-- ---------------------------------------------------------------------------------------------- sequences

CREATE SEQUENCE public.ticket_number AS bigint INCREMENT BY 7 START WITH 1003 MINVALUE 1003 CACHE 1;
COMMENT ON SEQUENCE public.ticket_number IS 'Steps of seven: a digit mistyped is never another ticket';
CREATE SEQUENCE public."Shift Wheel" AS smallint MINVALUE 1 MAXVALUE 4 CYCLE;
CREATE SEQUENCE public.countdown INCREMENT BY -1 MINVALUE -1000000 MAXVALUE 0 START WITH 0;
-- Never used: it must come back saying so, or its first number is skipped.
CREATE SEQUENCE public.untouched;

-- --------------------------------------------------------------------------------------- views and rules

CREATE VIEW public.customer_open WITH (security_barrier = true) AS
    SELECT id, given_name, family_name, region, vip, note FROM public.customer WHERE NOT vip
    WITH LOCAL CHECK OPTION;
CREATE VIEW public.customer_mine WITH (security_invoker = true) AS SELECT * FROM public.customer_open;
-- Grouped by a primary key alone: the view depends on a constraint, and pg_dump must break the knot.
CREATE VIEW public.customer_calls AS
    SELECT u.*, count(c.id) AS calls, max(c.started_at) AS last_call
    FROM public.customer AS u LEFT JOIN public.call AS c ON c.customer_id = u.id GROUP BY u.id;
CREATE RECURSIVE VIEW public.agent_chain (id, path) AS
    SELECT id, ARRAY[id] FROM public.agent WHERE supervisor_id IS NULL
    UNION ALL
    SELECT a.id, path || a.id FROM public.agent AS a JOIN agent_chain AS c ON a.supervisor_id = c.id;
CREATE VIEW public."Agenți activi" AS SELECT id AS "Nr.", login AS "Cont", status FROM public.agent WHERE status <> 'left';
CREATE RULE "no deletes" AS ON DELETE TO public."Agenți activi" DO INSTEAD NOTHING;
CREATE RULE leave AS ON UPDATE TO public."Agenți activi" WHERE new.status = 'left'
    DO INSTEAD UPDATE public.agent SET status = 'left' WHERE agent.id = old."Nr.";
CREATE RULE otherwise AS ON UPDATE TO public."Agenți activi" DO INSTEAD NOTHING;

-- A day is Bucharest's whatever the session's time zone: otherwise the refresh after a restore gives other rows.
CREATE MATERIALIZED VIEW public.queue_day AS
    SELECT queue_id, (started_at AT TIME ZONE 'Europe/Bucharest')::date AS day, count(*) AS calls,
           count(answered_at) AS answered, sum(cost) AS cost, public.longest(ended_at - answered_at) AS longest_talk
    FROM public.call WHERE started_at > '2000-01-01 00:00:00+00' GROUP BY 1, 2
    WITH NO DATA;
CREATE UNIQUE INDEX queue_day_key ON public.queue_day (queue_id, day);
CREATE MATERIALIZED VIEW public.queue_week AS
    SELECT queue_id, date_trunc('week', day::timestamp)::date AS week, sum(calls) AS calls
    FROM public.queue_day GROUP BY 1, 2
    WITH NO DATA;
CREATE INDEX queue_week_busiest ON public.queue_week (calls DESC) WHERE calls > 100;
-- Never filled, and must not be filled by a restore either.
CREATE MATERIALIZED VIEW archive.forecast AS SELECT day, calls * 1.1 AS calls FROM public.queue_day WITH NO DATA;
COMMENT ON MATERIALIZED VIEW public.queue_day IS 'Refreshed at night';

CREATE STATISTICS public.call_queue_disposition (ndistinct, dependencies, mcv)
    ON queue_id, disposition_code FROM public.call;
CREATE STATISTICS archive."day of call" ON ((started_at AT TIME ZONE 'UTC')::date), direction FROM public.call;
ALTER STATISTICS public.call_queue_disposition SET STATISTICS 200;

-- ---------------------------------------------------------------------------------------------- triggers

CREATE TRIGGER customer_updated BEFORE UPDATE ON public.customer
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION public.keep_updated_at();
CREATE TRIGGER callback_updated BEFORE UPDATE OF due, attempts ON public.callback
    FOR EACH ROW EXECUTE FUNCTION public.keep_updated_at();
CREATE TRIGGER call_tidy_note BEFORE INSERT OR UPDATE OF note ON public.call
    FOR EACH ROW WHEN (NEW.note IS NOT NULL) EXECUTE FUNCTION public.tidy_note();

CREATE FUNCTION public.log_consent() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp COST 5 AS $$
BEGIN
    INSERT INTO archive.consent_log (at, customer_id, channel, what)
    VALUES (coalesce(NEW.withdrawn_at, NEW.given_at), NEW.customer_id, NEW.channel,
            CASE WHEN NEW.withdrawn_at IS NULL THEN 'dat' ELSE 'retras' END);
    RETURN NULL;
END
$$;
CREATE TRIGGER consent_logged AFTER INSERT OR UPDATE ON public.consent
    FOR EACH ROW EXECUTE FUNCTION public.log_consent();

CREATE FUNCTION public.check_callbacks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE attempts < 0) THEN
        RAISE EXCEPTION 'negative attempts';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER callback_sane AFTER INSERT ON public.callback
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.check_callbacks();

CREATE FUNCTION public.check_shift() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF isempty(NEW.during) THEN
        RAISE EXCEPTION 'a shift of no length' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER shift_has_length AFTER INSERT OR UPDATE ON public.agent_shift
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.check_shift();
CREATE TRIGGER agent_updated BEFORE UPDATE ON public.agent FOR EACH ROW EXECUTE FUNCTION public.keep_updated_at();
ALTER TABLE public.agent DISABLE TRIGGER agent_updated;

CREATE PROCEDURE public.withdraw(customer bigint, at timestamptz, INOUT changed integer DEFAULT 0)
    LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.consent SET withdrawn_at = withdraw.at
    WHERE customer_id = customer AND withdrawn_at IS NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
END
$$;
GRANT EXECUTE ON PROCEDURE public.withdraw(bigint, timestamptz, integer) TO crm_app;

-- ------------------------------------------------------------------------------- row-level security, grants

ALTER TABLE public.customer ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_region ON public.customer TO crm_app
    USING (region = ANY (string_to_array(current_setting('crm.regions', true), ',')))
    WITH CHECK (region <> '');
CREATE POLICY reporting ON public.customer FOR SELECT TO crm_readonly USING (true);
CREATE POLICY no_vip ON public.customer AS RESTRICTIVE FOR SELECT TO crm_report USING (NOT vip);
-- FORCE binds the owner too. No materialised view reads this table: its refresh after a restore would be
-- refused ("query would be affected by row-level security policy").
ALTER TABLE public.consent ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.consent FORCE ROW LEVEL SECURITY;
CREATE POLICY anyone ON public.consent USING (true);

REVOKE SELECT ON public.customer FROM crm_readonly;
GRANT SELECT (id, region, city, vip, created_at), REFERENCES (id) ON public.customer TO crm_readonly;
GRANT UPDATE (note, updated_at) ON public.customer TO "i.țăranu" WITH GRANT OPTION;
GRANT SELECT ON public.disposition TO PUBLIC;
GRANT DELETE, TRUNCATE ON public.dialler_session TO crm_app;
GRANT SELECT ON ALL TABLES IN SCHEMA archive TO crm_readonly WITH GRANT OPTION;
REVOKE INSERT, UPDATE ON archive.consent_log FROM crm_app;
GRANT MAINTAIN ON public.queue_day, public.queue_week TO crm_app;
GRANT USAGE ON TYPE public.e164 TO crm_app;
REVOKE USAGE ON TYPE public.postal_address FROM PUBLIC;
REVOKE ALL ON public."placeholder" FROM crm_app, crm_readonly, crm_owner;

RESET ROLE;

-- Granted by the one who left, not by the owner.
SET ROLE "i.țăranu";
GRANT UPDATE (note) ON public.customer TO crm_report;
RESET ROLE;
CREATE VIEW archive.stale AS SELECT id, updated_at FROM public.customer WHERE updated_at < '2024-01-01 00:00:00+00';
ALTER VIEW archive.stale OWNER TO "i.țăranu";

-- ------------------------------------------------------------------------------------- what superusers made

-- Billing's server. No user mapping: a role that is not a superuser cannot dump its options.
CREATE SERVER billing FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'billing.example.com', dbname 'facturi');
CREATE FOREIGN TABLE archive.invoice (id bigint OPTIONS (column_name 'nr'), customer_id bigint, total numeric)
    SERVER billing OPTIONS (schema_name 'public', table_name 'facturi');
ALTER FOREIGN TABLE archive.invoice OWNER TO crm_owner;
GRANT USAGE ON FOREIGN SERVER billing TO crm_owner;

-- An event trigger that writes rows is not here: pg_restore makes event triggers before it refreshes
-- materialised views, so a log of statements would grow by the restore itself.
CREATE FUNCTION public.note_dropped_tables() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    dropped text;
BEGIN
    FOR dropped IN SELECT object_identity FROM pg_event_trigger_dropped_objects() WHERE object_type = 'table' LOOP
        RAISE LOG 'table % was dropped by %', dropped, session_user;
    END LOOP;
END
$$;
CREATE EVENT TRIGGER note_dropped_tables ON sql_drop WHEN TAG IN ('DROP TABLE', 'DROP SCHEMA')
    EXECUTE FUNCTION public.note_dropped_tables();
COMMENT ON EVENT TRIGGER note_dropped_tables IS 'Since the accident of 2022';

CREATE PUBLICATION warehouse FOR TABLE public.customer (id, region, vip), public.disposition,
    public.call WHERE (id > 0 AND started_at > '2000-01-01 00:00:00+00')
    WITH (publish = 'insert, update', publish_via_partition_root = true);
CREATE PUBLICATION old_things FOR TABLES IN SCHEMA archive;
ALTER PUBLICATION warehouse OWNER TO crm_owner;

COMMIT;
