-- A few minutes of work, between one backup and the next. How to run it: see database.sql.
--
-- Triggers and foreign keys are on. New calls lie between the newest one there is and one second before `now`.

\set QUIET on
\set ON_ERROR_STOP on
\if :{?seed}
\else
\set seed 1
\endif
\if :{?new_calls}
\else
\set new_calls 2000
\endif
\if :{?now}
\else
SELECT pg_catalog.now() AS now \gset
\endif

BEGIN;
SET LOCAL timezone = 'UTC';
SET LOCAL synchronous_commit = off;
SET LOCAL max_parallel_workers_per_gather = 0;
CREATE FUNCTION pg_temp.pick(id bigint, what integer, n bigint) RETURNS integer LANGUAGE sql IMMUTABLE
RETURN ((hashint8extended(id, what) & 9223372036854775807) % n)::integer;
-- Not the numbers that the first rows came from: the call's number so far goes in.
SELECT ((:seed)::bigint % 1000003) * 1000000007 + max(id) AS s, max(started_at) AS since,
       (:'now'::timestamptz - interval '1 second' - max(started_at)) / :new_calls AS gap
FROM public.call \gset
SELECT max(id) AS customers FROM public.customer \gset

INSERT INTO public.customer (given_name, family_name, email, region, vip, created_at, updated_at)
SELECT 'Noua', 'Clientă ' || n, 'noua.' || :s || '.' || n || '@example.com', 'north', n % 9 = 0, :'now', :'now'
FROM generate_series(1, 25) AS n;

INSERT INTO public.call (started_at, answered_at, ended_at, direction, customer_id, agent_id, queue_id, campaign_id,
                         disposition_code, remote_number, cost, quality, tags, attributes, note)
SELECT t, t + wait, t + wait + talk,
       direction, 1 + pg_temp.pick(:s + n, 4, :customers), 100 + pg_temp.pick(:s + n, 5, 120), 1 + pg_temp.pick(:s + n, 6, 8),
       CASE WHEN direction = 'outbound' THEN 1 + pg_temp.pick(:s + n, 7, 12) END,
       CASE WHEN n % 3 = 0 THEN 'sold' WHEN n % 3 = 1 THEN 'SOLD' END, '+999' || 600000001 + n,
       pg_temp.pick(:s + n, 8, 900000) / 1000000.0, CASE WHEN n % 6 = 0 THEN 4.1 END,
       CASE WHEN n % 50 = 0 THEN ARRAY['urgent'] END, CASE WHEN n % 3 = 0 THEN jsonb_build_object('codec', 'opus') END,
       CASE WHEN n % 20 = 0 THEN E'Sună din nou\tmâine ☎ \\ ' WHEN n % 101 = 0 THEN 'N/A \' END
FROM generate_series(1, :new_calls) AS n,
     LATERAL (SELECT :'since'::timestamptz + n * interval :'gap',
                     (enum_range(NULL::public.call_direction))[1 + pg_temp.pick(:s + n, 1, 4)],
                     pg_temp.pick(:s + n, 2, 20000) * interval '1 millisecond',
                     (3000 + pg_temp.pick(:s + n, 3, 300000)) * interval '1 millisecond') AS d (t, direction, wait, talk)
ORDER BY n;

UPDATE public.customer SET city = 'Iași', balance = balance - 12.3456, updated_at = :'now'
WHERE id <= :customers AND id % 31 = 7 AND (born > '1900-01-01' OR born IS NULL);
UPDATE public.customer SET note = coalesce(note, '') || E'\nSunat azi 📞', updated_at = :'now'
WHERE id <= :customers AND id % 97 = 11 AND id % 31 <> 7 AND (born > '1900-01-01' OR born IS NULL);
UPDATE public.consent SET withdrawn_at = :'now' WHERE withdrawn_at IS NULL AND customer_id % 83 = 5;
UPDATE public.callback SET attempts = attempts + 1, updated_at = :'now' WHERE id % 13 = 0;
DELETE FROM public.callback WHERE id % 29 = 1;
INSERT INTO public.callback (customer_id, due, reason, updated_at)
SELECT n, :'now'::timestamptz + n * interval '1 minute', 'a cerut-o', :'now' FROM generate_series(1, 12) AS n;
INSERT INTO public."Do Not Call" SELECT '+9997' || :s % 100000 + 20000000 + n, '2026-01-01', '"', NULL FROM generate_series(1, 9) AS n;

SELECT count(nextval('public.ticket_number')), max(nextval('public."Shift Wheel"')) FROM generate_series(1, 37) \g /dev/null

-- One letter changed, one more with its grant, one thrown away with its row.
SELECT lo_put(4100000010::oid, 5, '\x00ff00') \g /dev/null
SELECT lo_from_bytea((max(oid::bigint) + 1)::oid, decode(repeat('c8', 5000), 'hex')) AS letter FROM pg_largeobject_metadata \gset
GRANT SELECT ON LARGE OBJECT :letter TO ccdr_backup;
INSERT INTO public.call_attachment SELECT id, started_at, 'Scrisoare', :letter FROM public.call ORDER BY started_at DESC LIMIT 1;
DELETE FROM public.call_attachment WHERE content = 4100000012;

-- One is refreshed; queue_week, which reads it, stays as it was last night.
REFRESH MATERIALIZED VIEW public.queue_day;
COMMIT;
