-- The contact centre's rows, from a seed. How to run it: see database.sql.
--
-- Every value is a hash of the seed and the row's number, never random(): neither the plan nor the
-- machine's load can change it. Numbers are +999 (no country's), addresses are example.com.
-- Calls are numbered by time; the newest started three seconds before `now`.

\set QUIET on
\set ON_ERROR_STOP on
\if :{?seed}
\else
\set seed 1
\endif
\if :{?calls}
\else
\set calls 100000
\endif
\if :{?now}
\else
SELECT pg_catalog.now() AS now \gset
\endif
SELECT greatest(:calls / 20, 60) AS customers, least(:calls, 600) AS fresh, 120 AS agents,
       interval '220 days' / :calls AS gap \gset

BEGIN;
SET LOCAL session_replication_role = replica; -- no triggers and no foreign keys while loading
SET LOCAL timezone = 'UTC';
SET LOCAL synchronous_commit = off;
SET LOCAL max_parallel_workers_per_gather = 0;

-- A whole number from 0 to n - 1; `what` tells the column.
CREATE FUNCTION pg_temp.pick(id bigint, what integer, n bigint) RETURNS integer LANGUAGE sql IMMUTABLE
RETURN ((hashint8extended(id, what) & 9223372036854775807) % n)::integer;
CREATE FUNCTION pg_temp.md5s(id bigint, what integer, n integer) RETURNS text LANGUAGE sql IMMUTABLE
RETURN (SELECT string_agg(md5(id || '/' || what || '/' || i), '' ORDER BY i) FROM generate_series(1, n) AS i);
-- The seed goes in with the row's number.
SELECT ((:seed)::bigint % 1000003) * 1000000007 AS s \gset

-- Hundreds of different texts from a few dozen: names, and notes as people paste them into fields.
CREATE TEMPORARY TABLE words ON COMMIT DROP AS SELECT
    ARRAY['Ana', 'Ștefan', 'Ioana', 'Mădălina', 'Răzvan', 'Cătălin', 'Ilinca', 'Gheorghiță', 'Anca-Maria', 'José',
          'Åsa', 'Zoë', 'Дмитрий', 'Ελένη', 'مريم', '美咲', 'D''Arcy', 'Țucu', 'Înger', 'Ștefănel'] AS given,
    ARRAY['Popescu', 'Ionescu', 'Țăranu', 'Șerban', 'Stănescu', 'Bălășescu', 'Câmpeanu', 'Mureșan', 'Rădulescu',
          'Văcărescu', 'Înțelept', 'O''Brien', 'Müller', 'Иванов', 'Νικολάου', 'بن سعيد', '山田', 'van der Berg',
          'Smith "Smitty"', 'Sărățeanu', 'Ţepeş', 'Dumitrașcu', 'Ungureanu', 'Zărnescu'] AS family,
    ARRAY['București', 'Cluj-Napoca', 'Iași', 'Timișoara', 'Constanța', 'Brașov', 'Târgu Mureș', 'BRAȘOV', 'iași'] AS city,
    ARRAY['north', 'south', 'east', 'west'] AS region,
    ARRAY['Revine mâine după 18:00 ☎️', 'Vrea factura pe e-mail; a zis „da”', E'First line\nsecond line\r\nthird\twith a tab',
          E'C:\\Facturi\\2026\\noi.pdf', E'\\.', E'\\N', 'NULL', '', 'العميل يريد الاتصال غدًا ‏(5)', '客户已确认 👍🏽👩‍👩‍👧',
          'it''s "quoted", $$dollar$$ and 100%', E'\x01\x7f control', repeat('Foarte lung. ', 90), 'e\u0301 is not é: é', ' ',
          'DROP TABLE customer; --', '<b>bold</b> &amp; {json: [1]}', E'trailing backslash\\'] AS note,
    ARRAY['sold', 'no answer', 'busy', 'voicemail', 'callback', 'refused', 'wrong number', 'abandoned', 'transferred',
          'complaint', 'Info', 'do not call'] AS outcome,
    ARRAY['urgent', 'înregistrat', 'vip', 'limba:ro', 'a,b', '{}', '"', ''] AS tag;

INSERT INTO public.queue (code, name, skills, service_level, open_hours)
SELECT 'Q' || n, name, ARRAY[lower(name), 'ro'], 80 + n, jsonb_build_object('mon-fri', jsonb_build_array('08:00', '20:00'), 'n', n)
FROM unnest(ARRAY['Vânzări', 'Asistență', 'Reclamații', 'Țigări & altele', 'Încasări', 'Șoferi', 'Zahăr', 'Facturi'])
    WITH ORDINALITY AS q (name, n);

INSERT INTO public.agent (login, given_name, family_name, extension, status, supervisor_id, hired, photo, phones, address)
SELECT 'Agent' || n, given[1 + pg_temp.pick(:s + n, 1, 20)], family[1 + pg_temp.pick(:s + n, 2, 24)], 200 + n,
       (enum_range(NULL::public.agent_status))[1 + pg_temp.pick(:s + n, 3, 4)],
       CASE WHEN n > 6 THEN 99 + 1 + pg_temp.pick(:s + n, 4, 6) END,
       date '2015-01-01' + pg_temp.pick(:s + n, 5, 4000),
       CASE WHEN n % 3 = 0 THEN decode(pg_temp.md5s(:s + n, 6, 1 + pg_temp.pick(:s + n, 7, 90)), 'hex') WHEN n % 3 = 1 THEN '' END,
       CASE WHEN n % 4 > 0 THEN ARRAY['+99970000' || 1000 + n, '+99971000' || 1000 + n]::public.e164[] END,
       ROW ('Str. "Lungă"', n || ', ap. 3', city[1 + pg_temp.pick(:s + n, 8, 9)], NULL)::public.postal_address
FROM words, generate_series(1, :agents) AS n;

INSERT INTO public.campaign (name, script_id, running, dial_ratio, budget, target_numbers)
SELECT 'Campania ' || n || CASE n % 3 WHEN 0 THEN ' – "Iarnă"' ELSE '' END, CASE WHEN n % 4 > 0 THEN n END,
       daterange('2026-01-01'::date + n * 20, CASE WHEN n < 12 THEN '2026-01-01'::date + n * 20 + 45 END),
       1 + n / 7.0, (ARRAY['NaN', '0.10', '123456789012345678901234567890.123456789', '1000'])[1 + n % 4]::numeric,
       CASE WHEN n % 2 = 0 THEN int8multirange(int8range(n, n * 10), int8range(n * 100, NULL)) END
FROM generate_series(1, 12) AS n;
INSERT INTO public.script (id, campaign_id, body)
SELECT n, n, format('<script lang="ro"><say>Bună ziua &amp; bine ați venit %s</say></script>', n)::xml FROM generate_series(1, 12) AS n;
INSERT INTO public.disposition (code, label, final, retry_after)
SELECT code, initcap(code), n % 3 = 0, CASE WHEN n % 3 > 0 THEN n * interval '1 mon 2 days 03:04:05.678' END
FROM words, unnest(outcome) WITH ORDINALITY AS o (code, n);

INSERT INTO public.customer (id, given_name, family_name, email, phone, city, address, region, born, vip, balance,
                             spending, contact_times, preferences, note, created_at, updated_at)
SELECT n, given[1 + pg_temp.pick(:s + n, 11, 20)], family[1 + pg_temp.pick(:s + n, 12, 24)],
       CASE WHEN n % 5 > 0 THEN (CASE WHEN n % 2 = 0 THEN 'Client.' ELSE 'client+' END || n || '@example.com') END,
       CASE WHEN n % 50 > 0 THEN '+999' || 600000000 + n END,
       city[1 + pg_temp.pick(:s + n, 13, 9)],
       CASE WHEN n % 3 > 0 THEN ROW ('Bd. Unirii (vechi, nr. "2")', pg_temp.pick(:s + n, 14, 200)::text,
                                     city[1 + pg_temp.pick(:s + n, 13, 9)], CASE WHEN n % 2 = 0 THEN '' END)::public.postal_address END,
       region[1 + pg_temp.pick(:s + n, 15, 4)],
       -- A few were born on the import's default date: the rows that the unvalidated constraint is about.
       CASE WHEN n % 997 = 50 THEN date '1899-12-31' WHEN n % 7 > 0 THEN date '1940-01-01' + pg_temp.pick(:s + n, 16, 24000) END,
       pg_temp.pick(:s + n, 17, 40) = 0, (pg_temp.pick(:s + n, 18, 20000000) - 9000000) / 10000.0,
       CASE WHEN n % 3 = 0 THEN public.money_range(0, pg_temp.pick(:s + n, 19, 9000), '[)') WHEN n % 3 = 1 THEN 'empty' END,
       CASE WHEN n % 4 = 0 THEN '{[8,12),[14,18)}'::public.money_ranges END,
       CASE WHEN n % 2 = 0 THEN jsonb_build_object('limba', 'ro', 'canal', (ARRAY['sms', 'voce', NULL])[1 + n % 3], 'n', n)
            ELSE '{}' END,
       CASE WHEN pg_temp.pick(:s + n, 20, 3) = 0 THEN words.note[1 + pg_temp.pick(:s + n, 21, 18)] END,
       t, t + pg_temp.pick(:s + n, 22, 8000000) * interval '1 second'
FROM words, generate_series(1, :customers) AS n,
     LATERAL (SELECT :'now'::timestamptz - interval '900 days' + n * interval '800 days' / :customers) AS made (t);

INSERT INTO public.consent (customer_id, channel, given_at, withdrawn_at, evidence_digest, wording)
SELECT n, channel, t, CASE WHEN pg_temp.pick(:s + n, 30 + k::int, 9) = 0 THEN t + interval '20 days' + n * interval '1.5 seconds' END,
       digest(n || '/' || k, 'sha256'), CASE WHEN k = 1 THEN 'Sunt de acord ' || repeat('și înțeleg ', pg_temp.pick(:s + n, 35, 12)) END
FROM generate_series(1, :customers) AS n, unnest(enum_range(NULL::public.consent_channel)) WITH ORDINALITY AS c (channel, k),
     LATERAL (SELECT :'now'::timestamptz - interval '80 days' + pg_temp.pick(:s + n, 34, 4000000) * interval '1 second') AS g (t)
WHERE pg_temp.pick(:s + n, 40 + k::int, 5) < 2;
-- As the trigger, which is off now, would have logged it.
INSERT INTO archive.consent_log (at, customer_id, channel, what)
SELECT given_at, customer_id, channel, 'dat' FROM public.consent
UNION ALL
SELECT withdrawn_at, customer_id, channel, 'retras' FROM public.consent WHERE withdrawn_at IS NOT NULL
ORDER BY 1, 2, 3;

INSERT INTO public.call (id, started_at, answered_at, ended_at, direction, customer_id, agent_id, queue_id, campaign_id,
                         disposition_code, remote_number, cost, quality, tags, attributes, note)
SELECT n, t,
       CASE WHEN answered THEN t + wait END,
       CASE WHEN answered THEN t + wait + talk END,
       d.direction, customer, CASE WHEN answered THEN 100 + pg_temp.pick(:s + n, 55, :agents) END,
       1 + pg_temp.pick(:s + n, 56, 8),
       CASE WHEN d.direction = 'outbound' THEN 1 + pg_temp.pick(:s + n, 57, 12) END,
       CASE WHEN n % 17 > 0 THEN outcome[1 + pg_temp.pick(:s + n, 58, 12)] END,
       CASE WHEN n % 29 > 0 THEN '+999' || 600000000 + customer END,
       CASE WHEN answered THEN pg_temp.pick(:s + n, 59, 3000000) / 1000000.0 END,
       CASE WHEN n % 6 = 0 THEN 1 + pg_temp.pick(:s + n, 60, 3500) / 1000.0::float8 WHEN n % 1000 = 1 THEN 'NaN' END,
       CASE pg_temp.pick(:s + n, 61, 12) WHEN 0 THEN ARRAY[tag[1 + pg_temp.pick(:s + n, 62, 8)], tag[1 + pg_temp.pick(:s + n, 63, 8)]]
            WHEN 1 THEN '{}' WHEN 2 THEN ARRAY[NULL, 'x'] END,
       CASE WHEN n % 3 = 0 THEN jsonb_build_object('codec', 'PCMA', 'ivr', jsonb_build_array(1, n % 9), 'loss', n % 100 / 1000.0) END,
       CASE WHEN pg_temp.pick(:s + n, 64, 14) = 0 THEN words.note[1 + pg_temp.pick(:s + n, 65, 18)] END
FROM words, generate_series(1, :calls) AS n,
     LATERAL (SELECT CASE WHEN n > 2 THEN :'now'::timestamptz - interval '3 seconds' - (:calls - n) * interval :'gap'
                          -- Two telephone exchanges with an empty battery: the default partition's rows.
                          ELSE timestamptz '1970-01-01 00:00:00+00' + n * interval '0.000001 seconds' END,
                     (enum_range(NULL::public.call_direction))[(ARRAY[1, 1, 1, 2, 2, 3, 4])[1 + pg_temp.pick(:s + n, 50, 7)]],
                     pg_temp.pick(:s + n, 51, 10) < 8 OR n > :calls - :fresh,
                     pg_temp.pick(:s + n, 52, 40000) * interval '1 millisecond',
                     (2000 + pg_temp.pick(:s + n, 53, 600000)) * interval '1 millisecond',
                     1 + pg_temp.pick(:s + n, 54, :customers)) AS d (t, direction, answered, wait, talk, customer);

INSERT INTO public.call_leg (call_id, leg, started_at, channel, codec, peer, mac)
SELECT id, leg, started_at, 'PJSIP/' || leg || '-' || to_hex(id), (ARRAY['A', 'U', '9', ''])[1 + id % 4]::"char",
       CASE leg WHEN 1 THEN ('192.0.2.' || id % 256 || '/28')::inet ELSE '2001:db8::1'::inet + id END,
       CASE WHEN leg = 2 THEN '02:00:5e:00:53:01' END::macaddr
FROM public.call, generate_series(1, 2) AS leg WHERE id > :calls - :fresh ORDER BY id, leg;

INSERT INTO public.transcript (call_id, started_at, language, body, words)
SELECT id, started_at, CASE WHEN id % 5 = 0 THEN 'en' ELSE 'ro_RO' END,
       -- From nothing to 60 kB, some that compress well and some that do not: TOAST in all its ways.
       CASE id % 8 WHEN 0 THEN '' WHEN 1 THEN NULL WHEN 2 THEN pg_temp.md5s(:s + id, 70, 1 + pg_temp.pick(:s + id, 71, 400))
            ELSE repeat('Alo? Da, vă ascult. ' || id || E'\n', 1 + (pg_temp.pick(:s + id, 72, 40) ^ 2)::int) END,
       CASE WHEN id % 2 = 0 THEN jsonb_build_array('alo', id % 10, NULL, jsonb_build_object('ș', true)) END
FROM (SELECT id, started_at FROM public.call WHERE id > :calls - :fresh ORDER BY id) AS c;

INSERT INTO public.voicemail (id, call_id, started_at, audio, heard_by)
SELECT md5(:s || '/voicemail/' || id)::uuid, id, started_at, decode(pg_temp.md5s(:s + id, 75, pg_temp.pick(:s + id, 76, 260)), 'hex'),
       ARRAY[100 + id % 7, 101]
FROM (SELECT id, started_at FROM public.call WHERE id > :calls - :fresh AND id % 4 = 0 ORDER BY id) AS c
WHERE pg_temp.pick(:s + id, 76, 260) > 0;

INSERT INTO public.agent_shift (agent_id, during, breaks)
SELECT 99 + a, tstzrange(t, t + interval '8 hours', CASE WHEN d % 2 = 0 THEN '[)' ELSE '[]' END),
       CASE WHEN a % 2 = 0 THEN tstzmultirange(tstzrange(t + interval '2 hours', t + interval '2 hours 15 minutes')) END
FROM generate_series(1, :agents) AS a, generate_series(1, 20) AS d,
     LATERAL (SELECT date_trunc('day', :'now'::timestamptz) - d * interval '1 day' + (5 + pg_temp.pick(:s + a, 80, 6)) * interval '1 hour') AS s (t);

INSERT INTO public.callback (customer_id, agent_id, due, window_local, reason, attempts, updated_at)
SELECT 1 + pg_temp.pick(:s + n, 85, :customers), CASE WHEN n % 41 = 0 THEN 7 WHEN n % 3 > 0 THEN 99 + 1 + pg_temp.pick(:s + n, 86, :agents) END,
       :'now'::timestamptz + n * interval '10 minutes', timetz '18:30:00+02' + n * interval '1 minute',
       words.note[1 + n % 18], n % 4, :'now'::timestamptz - n * interval '1 minute'
FROM words, generate_series(1, 800) AS n;

INSERT INTO public."Do Not Call"
SELECT '+9998' || 10000000 + n, date '2011-01-01' + n, CASE n % 3 WHEN 0 THEN '' WHEN 1 THEN E'a\\b' END, n % 2 = 0
FROM generate_series(1, 500) AS n;
INSERT INTO public."placeholder" SELECT FROM generate_series(1, 3);
INSERT INTO public.dialler_session SELECT 99 + n, :'now'::timestamptz - n * interval '1 minute', '{"pauză": false}' FROM generate_series(1, 20) AS n;
INSERT INTO archive.interaction SELECT n, timestamptz '2012-01-01 00:00:00+00' + n * interval '1 day', 'Nota ' || n FROM generate_series(1, 300) AS n;
INSERT INTO archive."E-mail" (id, at, summary, subject)
SELECT n, timestamptz '2014-01-01 00:00:00+00' + n * interval '1 day', '', 'Re: Re: ' || n FROM generate_series(301, 450) AS n;
INSERT INTO archive.campaign (id, name, running, dial_ratio, closed_at)
SELECT n, 'Veche ' || n, daterange('2009-01-01', NULL), 1, CASE WHEN n % 2 = 0 THEN 'infinity'::timestamptz ELSE '-infinity' END
FROM generate_series(1, 9) AS n;

-- Large objects with numbers of their own: several owners and grants, none to 300 kB, one with a hole, one
-- with a comment, and each with the backup role's grant.
CREATE FUNCTION pg_temp.letter(number bigint, content bytea, owner name) RETURNS oid LANGUAGE plpgsql AS $$
DECLARE
    made oid := lo_from_bytea(number::oid, content);
BEGIN
    EXECUTE format('ALTER LARGE OBJECT %s OWNER TO %I', made, owner);
    EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO ccdr_backup', made);
    RETURN made;
END
$$;
INSERT INTO public.call_attachment (call_id, started_at, title, content)
SELECT id, started_at, 'Scan ' || n || ' „contract”.pdf',
       pg_temp.letter(4100000000 + n, CASE n WHEN 1 THEN ''::bytea
                                              WHEN 2 THEN decode(pg_temp.md5s(:s, 90, 19000), 'hex')
                                              ELSE decode(pg_temp.md5s(:s + n, 91, n::int * 40), 'hex') || '\x005c0a00' END,
                      (ARRAY['crm_owner', 'crm_app', 'i.țăranu'])[1 + n % 3])
FROM (SELECT id, started_at, row_number() OVER (ORDER BY id DESC) AS n FROM public.call WHERE id > :calls - 36) AS c
WHERE n <= 36 ORDER BY n;
SELECT lo_put(4100000003::oid, 100000, '\xfeff') \g /dev/null
GRANT SELECT, UPDATE ON LARGE OBJECT 4100000004, 4100000005 TO crm_app WITH GRANT OPTION;
GRANT SELECT ON LARGE OBJECT 4100000006 TO PUBLIC;
COMMENT ON LARGE OBJECT 4100000007 IS 'Scanat strâmb';

-- Where the sequences stand.
SELECT setval(pg_get_serial_sequence('public.call', 'id'), :calls),
       setval(pg_get_serial_sequence('public.customer', 'id'), :customers),
       setval('public.callback_id_seq', 9000000),
       setval('public.ticket_number', 1003 + 7 * 4242),
       setval('public."Shift Wheel"', 4),
       setval('public.countdown', -1234, false) \g /dev/null

-- Added when the rows were there already: some break it, and nobody dared to touch them.
ALTER TABLE public.customer ADD CONSTRAINT customer_plausible_birth CHECK (born > '1900-01-01') NOT VALID;

-- Dead rows, as every table that is in use has them.
UPDATE public.agent SET status = 'left', extension = NULL WHERE id % 37 = 0;
DELETE FROM public."Do Not Call" WHERE "Since when?" < '2011-02-01';

REFRESH MATERIALIZED VIEW public.queue_day;
REFRESH MATERIALIZED VIEW public.queue_week;
COMMIT;
