-- The sample contact centre's database. Run as a superuser, connected to `postgres`:
--
--   psql -v ON_ERROR_STOP=1 -d postgres -f database.sql
--   psql -v ON_ERROR_STOP=1 -d crm -v now='2026-11-24 14:00:00+00' -f schema.sql
--   psql -v ON_ERROR_STOP=1 -d crm -v now='2026-11-24 14:00:00+00' -v seed=1 -v calls=100000 -f data.sql
--   ... recordings.attach_sql() into psql, a backup ...
--   psql -v ON_ERROR_STOP=1 -d crm -v now='2026-11-24 14:05:00+00' -v seed=1 -v new_calls=2000 -f changes.sql
--
-- The same seed, calls and now give the same rows, byte for byte, whatever the machine's load.
--
-- The collation is the operating system's Romanian where the server has it. The official image has only
-- en_US; there ICU's Romanian serves. So restore into the image that the source ran: it has the same.

\set QUIET on
SELECT count(*) > 0 AS libc_romanian FROM pg_catalog.pg_collation WHERE collname = 'ro_RO.utf8' \gset
\if :libc_romanian
CREATE DATABASE crm TEMPLATE template0 ENCODING 'UTF8' LOCALE 'ro_RO.UTF-8';
\else
CREATE DATABASE crm TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8' LOCALE_PROVIDER icu ICU_LOCALE 'ro-RO';
\endif
