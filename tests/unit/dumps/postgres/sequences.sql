--
-- PostgreSQL database dump
--

\restrict ZULREdv5GYnnqCt3ZIMQ5bM38537EOMUQsV8LCauorQkfluannSRoUYPwk6sRrp

-- Dumped from database version 17.12 (Debian 17.12-0+deb13u1)
-- Dumped by pg_dump version 17.12 (Debian 17.12-0+deb13u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: call_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.call_id_seq', 1, true);


--
-- PostgreSQL database dump complete
--

\unrestrict ZULREdv5GYnnqCt3ZIMQ5bM38537EOMUQsV8LCauorQkfluannSRoUYPwk6sRrp

