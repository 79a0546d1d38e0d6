--
-- PostgreSQL database cluster dump
--

\restrict FfjEVHm6iazHLXJQijzunvn2tOTY58knKpYD9dT9DM9mhVS4OUhaF9FKiuN0Fbi

SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

--
-- Roles
--

CREATE ROLE app_reader;
ALTER ROLE app_reader WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;
CREATE ROLE boss;
ALTER ROLE boss WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS PASSWORD 'md5x';
COMMENT ON ROLE boss IS 'chief';
CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;

--
-- User Configurations
--


--
-- Role memberships
--

GRANT app_reader TO boss WITH INHERIT TRUE GRANTED BY postgres;




\unrestrict FfjEVHm6iazHLXJQijzunvn2tOTY58knKpYD9dT9DM9mhVS4OUhaF9FKiuN0Fbi

--
-- PostgreSQL database cluster dump complete
--

